export { type Machine, createMachine } from "./lease-simulation/machine.ts";
export { type Weather, ask, connect } from "./lease-simulation/network.ts";
export { type Random, createRandom } from "./lease-simulation/random.ts";
export { type Scheduler, createScheduler } from "./lease-simulation/scheduler.ts";
export { createSights } from "./lease-simulation/sights.ts";
export { forbidden } from "./lease-simulation/transitions.ts";
