import { command, runSteps } from './steps.ts'

/** `npm run check`: everything that can be said about the code without running its tests. */
const scripts = ['types', 'lint', 'format:check', 'deadcode', 'api:check', 'packages']

process.exitCode = await runSteps(
  scripts.map((script) => ({
    name: script,
    run: async () => void (await command('npm', ['run', '--silent', script])),
  })),
)
