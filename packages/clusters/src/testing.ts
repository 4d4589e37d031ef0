export { createPlacementSpec, testCluster } from "./cluster.testsuite.ts";
export type { ClusterBed, TestClusterOptions } from "./cluster.testsuite.ts";
export { openFakeCluster } from "./fake/fake-cluster.ts";
export type { FakeClusterOptions } from "./fake/fake-cluster.ts";
export { createFakePlace, fakePlacement, startFakeAgent } from "./fake/fake-place.ts";
export type { FakeCall, FakeMethod, FakePlace, FakePlacement } from "./fake/fake-place.ts";
