export { admitBurn, admitOpen, admitStart, admitStop } from "./admit-command.ts";
export { admitWithdraw, refuseStaleTerm } from "./admit-command.ts";
export { type StateMachine, createStateMachine } from "./agent-state.ts";
export type { Exit } from "./application.ts";
export { changeOperation, changeRun, isToldToStop, mayFollow, neverExecuted, noFacts } from "./facts.ts";
export { type Ending, type Facts, type OperationRecord, type RunFacts, withOperation } from "./facts.ts";
export { isStopped, judgeEnding } from "./judge-ending.ts";
export { type LeaseHolder, createLeaseHolder } from "./lease-holder.ts";
