export { FakePlacement } from "./fakes/fake-placement.ts";
