import { connect } from '@sluice/core'
const c = await connect('local:'+process.argv[2],{create:false})
const topics = await c.admin.listTopics()
console.log(topics)
const inT = topics.find(t=>!t.endsWith('outputs'))!
console.log(JSON.stringify((await c.admin.describeTopic(inT)).partitions))
console.log(JSON.stringify(await c.admin.lag(inT,'crash')))
const out = new Set()
for await (const m of c.topic(inT+'.outputs').read()) { out.add((m.value as any).slot+'-'+(m.value as any).seq)}
for await (const m of c.topic(inT).read()) { const v=m.value as any; if(!out.has(v.slot+'-'+v.seq)) console.log('missing',v.slot,v.seq,m.key,m.partition,m.position) }
await c.close()
