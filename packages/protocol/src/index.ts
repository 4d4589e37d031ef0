export { AppError, type ErrorCode, errorTable, isAppError, toAppError } from "./errors.ts";
export { fromProblem, problemContentType, problemSchema, toProblem } from "./problem.ts";
export { type Run, commandKey, formatRun, nameSchema, newDeploymentId, newNonce } from "./ids.ts";
export { newOperationId, newPlacementId, operationIdSchema, placementIdSchema } from "./ids.ts";
export { runSchema, sameRun } from "./ids.ts";
export { accepts, parseAs } from "./parse.ts";
export { integer, moment, object, record, strictObject, variant } from "./schema.ts";
export { type PrivateKey, type PublicKey, createKeyPair, privateKeySchema, publicKeyOf } from "./keys.ts";
export { type Command, type VerifiedCommand, signCommand, verifyCommand } from "./command.ts";
export { type StartBody, assertBodyMatches, bodySha256, keysBodySchema, startBodySchema } from "./command.ts";
export type { Check, EvidenceClass, Outcome, Receipt, StopPhase } from "./receipt.ts";
export { receiptSchema } from "./receipt.ts";
export { receiptPlacement, signReceipt, verifyReceipt } from "./receipt.ts";
export type { AgentConfig, AgentConfigInput, AttachTarget } from "./agent-config.ts";
export { agentConfigSchema } from "./agent-config.ts";
export type { AgentEndpoint, AgentOperation, AgentState, AgentStatus, Waiting } from "./agent-api.ts";
export { type CheckResult, checkResultSchema, forwardedTokenHeader } from "./agent-api.ts";
export { type ServedKey, agentEndpointSchema, agentOperationSchema, servedKeySchema } from "./agent-api.ts";
export { type StartResult, agentStatusSchema, confirmationSchema, cookieVariable } from "./agent-api.ts";
export { type Hook, type HookInput, type Verify, hookSchema, longestStopMs } from "./hook.ts";
export { type Signal, parseSignal, signalName } from "./signals.ts";
export type { ApplicationManifest, ClusterManifest, Manifest, StorageManifest } from "./manifest.ts";
export { type DatabaseLogin, type DatabaseManifest, databaseLoginSchema } from "./manifest.ts";
export { type AccessKey, type SecretReference, accessKeySchema, manifestSchemas } from "./manifest.ts";
export { type FenceManifest, prefixSchema } from "./manifest.ts";
export { type KubernetesManifest, isKubernetesWorkload, kubernetesSchema } from "./kubernetes.ts";
export { type ContainerManifest, agentPortInContainer, containerSchema } from "./container.ts";
export { type Explanation, type Place, explanationSchema } from "./explanation.ts";
export { decisionRequestSchema, decisionSchema } from "./operation.ts";
export { operationRequestSchema, operationSchema, routeSchema, signedReceiptSchema } from "./operation.ts";
export { type StopPolicy, type StopStrategy, usualStopPolicy } from "./stop-policy.ts";
export type {
  Decision,
  DecisionRequest,
  SignedReceipt,
  DowntimeLedger,
  FenceRecord,
  KeyFence,
  RoleFence,
  Operation,
  OperationRequest,
  OperationState,
  Route,
} from "./operation.ts";
export type { StepRecord, StepState } from "./operation.ts";
export { type Finding, findingSchema } from "./finding.ts";
export { type Plan, type PlannedHandover, type PlannedStep, planSchema } from "./plan.ts";
export { type Adoption, type AdoptionRequest, adoptionRequestSchema, adoptionSchema } from "./adoption.ts";
export type { ReplicaRecord } from "./replica-record.ts";
export { inventoryRequestSchema, probeRequestSchema, rotationRequestSchema } from "./storage-view.ts";
export { rotationSchema, storageViewSchema } from "./storage-view.ts";
export type { InFlightRecord, ProbeRecord, ProbeVerdict, StorageView } from "./storage-view.ts";
export type {
  HandedOver,
  InventoryRequest,
  ProbeRequest,
  Rotation,
  RotationRequest,
} from "./storage-view.ts";
export { auditEntrySchema, isAtLeast, newTokenSchema, roles } from "./access.ts";
export { tokenRequestSchema, tokenViewSchema } from "./access.ts";
export type { AuditEntry, NewToken, Role, TokenRequest, TokenView } from "./access.ts";
export { fitsRecord, trafficTarget, trafficViewSchema, webhookSecretSchema } from "./traffic.ts";
export type { TrafficPluginManifest, TrafficView } from "./traffic.ts";
