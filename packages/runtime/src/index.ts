export { chooseBackend, defaultBackend } from './backend.ts'
export type { BackendChoice, BackendSource } from './backend.ts'
export { findDifferences, findMissing } from './fit.ts'
export type { BackendFacts, Finding } from './fit.ts'
export { loadPipeline, pipelineFileName } from './load-pipeline.ts'
export { defineSink } from './module-types.ts'
export type { ModuleContext, Sink, SinkDefinition, SinkHandler, Source } from './module-types.ts'
export { parsePipeline } from './parse-pipeline.ts'
export type { PartKind, PartProgress } from './part.ts'
export type {
  FunctionPlan,
  ModuleReference,
  Pipeline,
  ReadingPlan,
  SinkPlan,
  SourcePlan,
  TopicPlan,
} from './pipeline.ts'
export { runPipeline } from './run-pipeline.ts'
export type { RunPipelineOptions } from './run-pipeline.ts'
export type { Place } from './source-file.ts'
export { parseDuration, parseSize } from './units.ts'
