export { migrate, migrateCold } from "./migrate.saga.ts";
export { deploy } from "./deploy.saga.ts";
export { stop } from "./stop.saga.ts";
export { start } from "./start.saga.ts";
export { deleteServing, deleteStopped } from "./delete.saga.ts";
export { explain } from "./explain.ts";
export { decisionTopic } from "./halt.ts";
export { type Followed, followLease } from "./follow-lease.ts";
export { receiptTopic } from "./source-steps.ts";
export { type RunSagaParams, runSaga } from "./run-saga.ts";
export { noFaults } from "./progress.port.ts";
export type { Engine, RecordedError, StepResult } from "./engine.port.ts";
export type { Direction, FaultPoint, Faults, Progress, SagaEnd } from "./progress.port.ts";
export type {
  Clock,
  DeployInput,
  DeployPorts,
  LeasePort,
  MigratePorts,
  PlacementPort,
  SourcePorts,
} from "./ports.ts";
export type { FencePort, KeyHolder, ReplicaPort } from "./ports.ts";
export type { RecordsPort, StartCommand, StopCommand, VerifiedReceipt } from "./ports.ts";
export type { PreflightPort } from "./ports.ts";
export type { Saga } from "./saga.ts";
export type {
  DatabaseFacts,
  TrafficFacts,
  FenceFacts,
  KeyFacts,
  PreflightFacts,
  RecordedFacts,
  RequestFacts,
} from "./preflight/facts.ts";
export type { SagaFacts, Seen, SourceFacts, StorageFacts, TargetFacts } from "./preflight/facts.ts";
export { makePlan } from "./plan/make-plan.ts";
export { type PlanParts, describeDrift } from "./plan/plan-parts.ts";
export { describeSaga, planSteps } from "./plan/plan-steps.ts";
