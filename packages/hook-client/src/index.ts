export { createAgentClient } from "./agent-client.ts";
export type { AgentClient } from "./agent-client.ts";
export type { AgentAddress } from "./agent-request.ts";
