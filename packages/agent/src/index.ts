export { startAgent } from "./agent.ts";
export type { Agent, AgentDeps } from "./agent.ts";
export type { Log } from "./log.ts";
export { agentVersion } from "./version.ts";
