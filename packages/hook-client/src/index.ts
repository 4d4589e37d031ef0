export { stopAndConfirm } from "./stop-and-confirm.ts";
export type { StopResult } from "./stop-and-confirm.ts";
export type { StopOptions } from "./stop-options.ts";
export { checkReceipt } from "./check-receipt.ts";
export type { ExpectedReceipt } from "./check-receipt.ts";
export { stopKrakeService } from "./stop-krake-service.ts";
export type { KrakeStopOptions, KrakeStopResult } from "./stop-krake-service.ts";
export { createKrakeConfirmations } from "./krake-confirmations.ts";
export type { KrakeConfirmations, KrakeConfirmationsOptions } from "./krake-confirmations.ts";
export { listenForKrakeConfirmations } from "./krake-listener.ts";
export type { KrakeListener, KrakeListenerOptions } from "./krake-listener.ts";
export type { ConnectionOptions, TlsOptions } from "./open-dispatcher.ts";
export type { RetryLimits } from "./retry-limits.ts";
export { createAgentClient } from "./agent-client.ts";
export type { AgentClient } from "./agent-client.ts";
export type { AgentAddress } from "./agent-request.ts";
/** What these functions throw, and the names that stops are found again by. */
export { AppError, isAppError, newOperationId } from "@baton/protocol";
export type { ErrorCode, PrivateKey, PublicKey, Receipt, Run } from "@baton/protocol";
