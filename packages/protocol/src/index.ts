export { AppError, errorTable, isAppError, toAppError } from "./errors.ts";
export type { ErrorCode, Retry } from "./errors.ts";
export { fromProblem, problemContentType, problemSchema, toProblem } from "./problem.ts";
export type { Problem } from "./problem.ts";
export { commandKey, formatRun, nameSchema, newDeploymentId, newNonce, newOperationId } from "./ids.ts";
export { newPlacementId, operationIdSchema, placementIdSchema, runSchema, sameRun } from "./ids.ts";
export type { Run } from "./ids.ts";
export { parseAs } from "./parse.ts";
export { createKeyPair, keyThumbprint, privateKeySchema, publicKeyOf, publicKeySchema } from "./keys.ts";
export type { PrivateKey, PublicKey } from "./keys.ts";
export {
  assertBodyMatches,
  bodySha256,
  commandSchema,
  signCommand,
  startBodySchema,
  verifyCommand,
} from "./command.ts";
export type { Command, StartBody, VerifiedCommand } from "./command.ts";
export { receiptPlacement, receiptSchema, signReceipt, verifyReceipt } from "./receipt.ts";
export type { EvidenceClass, Outcome, Receipt } from "./receipt.ts";
export {
  agentConfigSchema,
  agentEndpointSchema,
  agentOperationSchema,
  agentStatusSchema,
} from "./agent-api.ts";
export { confirmationSchema, cookieVariable } from "./agent-api.ts";
export type {
  AgentConfig,
  AgentEndpoint,
  AgentOperation,
  AgentState,
  AgentStatus,
  StartResult,
} from "./agent-api.ts";
export type { Hook, Readiness, Verify, Workload } from "./hook.ts";
export { accessKeySchema, manifestSchemas, storageLocationSchema } from "./manifest.ts";
export type {
  AccessKey,
  ApplicationManifest,
  ClusterManifest,
  Manifest,
  SecretReference,
} from "./manifest.ts";
export type { StorageLocation, StorageManifest } from "./manifest.ts";
export { operationRequestSchema, operationSchema, routeSchema } from "./operation.ts";
export type { DowntimeLedger, Operation, OperationRequest, OperationState, Route } from "./operation.ts";
export type { StepRecord, StepState } from "./operation.ts";
