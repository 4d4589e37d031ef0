import {
  type AgentStatus,
  type ApplicationManifest,
  type ClusterManifest,
  type DatabaseManifest,
  type StorageManifest,
  manifestSchemas,
  parseAs,
} from "@baton/protocol";
import type { ClusterCapabilities, ClusterSurvey, Witness } from "@baton/clusters";
import type { Lease, ProbeResult } from "@baton/storage";
import type { PreflightFacts, Seen } from "../preflight/facts.ts";

const placement = "pl-00000000000000000001";
const run = { placement, instance: "1", counter: 1 };

export const known = <T>(value: T): Seen<T> => ({ known: true, value });
export const unknown = (why: string): Seen<never> => ({ known: false, why });

export const capabilities: ClusterCapabilities = {
  holdsStandby: true,
  witnessesFromOutside: true,
  reachesAgents: true,
};
export const status: AgentStatus = {
  placement,
  instance: "1",
  agentVersion: "0.1.0",
  state: "running",
  epoch: 1,
  run,
  ready: true,
  open: true,
  lease: { reachable: true, lost: false, detail: null },
  waiting: null,
};
export const witness: Witness = {
  state: "running",
  agentAlive: true,
  processes: [],
  detail: null,
  observedAt: "1970-01-01T00:00:00.000Z",
};
export const survey: ClusterSurvey = {
  influences: [],
  references: [
    {
      what: "Secret shop/database",
      optional: false,
      state: "there",
      detail: null,
      digest: "d",
    },
  ],
  missingRights: [],
  refusals: [],
  graceMs: 86_400_000,
  unseen: [],
};
export const lease: Lease = {
  version: 1,
  owner: "me/ledger",
  application: "ledger",
  prefix: "ledger/",
  epoch: 1,
  holder: placement,
  state: "running",
  grant: null,
  run,
  operation: "op-00000000000000000000",
  nonce: "n",
  history: ["n"],
  at: "1970-01-01T00:00:00.000Z",
};
export const probe: ProbeResult = {
  testedAt: "1970-01-01T00:00:00.000Z",
  endpoints: ["https://s3.example.com"],
  server: null,
  clockSkewMs: 300,
  ifMatch: "quoted",
  tests: [{ name: "create-only", passed: true, required: true, detail: "refused" }],
};
const cluster = (name: string): ClusterManifest => ({
  kind: "cluster",
  name,
  driver: "process",
  directory: `/clusters/${name}`,
});
export const manifest: ApplicationManifest = parseAs(
  manifestSchemas.application,
  {
    kind: "application",
    name: "ledger",
    storage: "harbor",
    workload: { command: ["/usr/bin/ledger"] },
    hook: { drain: { timeoutMs: 1_000 } },
    readiness: { path: "/readyz" },
    verify: { path: "/canary" },
  },
  "it",
);
export const storage: StorageManifest = parseAs(
  manifestSchemas.storage,
  {
    kind: "storage",
    name: "harbor",
    endpoint: "https://s3.example.com",
    bucket: "harbor",
    prefix: "ledger/",
    credentials: { control: { file: "/secrets/control" }, data: { file: "/secrets/data" } },
  },
  "it",
);

export const database: DatabaseManifest = parseAs(
  manifestSchemas.database,
  {
    kind: "database",
    name: "books",
    engine: "postgres",
    url: "postgres://127.0.0.1:5432/ledger",
    group: "owners",
    admin: { file: "/secrets/admin" },
  },
  "it",
);

/** A migration about which nothing is to be said. */
export const fineMove = {
  request: {
    kind: "migrate",
    application: "ledger",
    to: "harbor-b",
    strategy: "give-up",
    cold: false,
    plan: null,
  },
  saga: { name: "migrate@1", steps: "a digest" },
  records: {
    owner: "me/ledger",
    epoch: 1,
    highestEpoch: 1,
    adoptedEpoch: 0,
    haltedReason: null,
    otherOperation: null,
    manifest,
    storage,
    database: null,
    declared: { manifest, storage, database: null },
    last: { stopMs: 100, startMs: 200, downtimeMs: 2_500 },
  },
  source: {
    placement,
    cluster: "harbor-a",
    expected: "serving",
    manifest: cluster("harbor-a"),
    isKeyPinned: true,
    capabilities: known(capabilities),
    status: known(status),
    witness: known(witness),
    survey: known(survey),
  },
  target: {
    cluster: "harbor-b",
    manifest: cluster("harbor-b"),
    check: known(true),
    capabilities: known(capabilities),
    room: known({ freeBytes: 2 ** 40, missing: [] }),
    survey: known(survey),
    dataKey: known({ isTemporary: false }),
  },
  storage: {
    lease: known(lease),
    probe: known(probe),
    controlKey: known({ isTemporary: false }),
    listing: known(true),
    openUploads: known(0),
    certificateDays: known(null),
    inFlight: known({ ms: 1_000 }),
  },
  fence: null,
  database: null,
  traffic: [],
  orchestrator: { version: "0.1.0", stateFreeBytes: known(2 ** 40) },
} as const satisfies PreflightFacts;

/** A deployment about which nothing is to be said. */
export const fineDeploy: PreflightFacts = {
  ...fineMove,
  request: { ...fineMove.request, kind: "deploy", strategy: null },
  records: { ...fineMove.records, epoch: 0, highestEpoch: 0 },
  source: null,
  storage: { ...fineMove.storage, lease: known(null) },
};

/** A start in place about which nothing is to be said. */
export const fineStart: PreflightFacts = {
  ...fineMove,
  request: { ...fineMove.request, kind: "start", to: null, strategy: null },
  source: {
    ...fineMove.source,
    expected: "resting",
    status: known({ ...status, state: "stopped", ready: false, open: false }),
    witness: known({ ...witness, state: "terminated" }),
  },
  storage: { ...fineMove.storage, lease: known({ ...lease, state: "stopped" }) },
};
