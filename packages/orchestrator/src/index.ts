export { startOrchestrator } from "./start-orchestrator.ts";
export type { RunningOrchestrator } from "./start-orchestrator.ts";
export type { OrchestratorConfig } from "./config.ts";
