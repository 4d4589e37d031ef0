export { FakePlacement } from "./fakes/fake-placement.ts";
export { lookThrough } from "./fakes/look-through.ts";
