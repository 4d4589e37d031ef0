export { migrate, migrateCold } from "./migrate.saga.ts";
export { deploy } from "./deploy.saga.ts";
export { stop } from "./stop.saga.ts";
export { start } from "./start.saga.ts";
export { deleteServing, deleteStopped } from "./delete.saga.ts";
export { explain } from "./explain.ts";
export { decisionTopic } from "./halt.ts";
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
export type { Saga } from "./saga.ts";
