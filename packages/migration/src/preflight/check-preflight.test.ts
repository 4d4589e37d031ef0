import type { Hook } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import {
  capabilities,
  database,
  fineDeploy,
  fineMove,
  fineStart,
  known,
  lease,
  manifest,
  probe,
  status,
  storage,
  survey,
  unknown,
  witness,
} from "../fakes/fine-facts.ts";
import { checkPreflight, preflightRules } from "./check-preflight.ts";
import type {
  DatabaseFacts,
  FenceFacts,
  OrchestratorFacts,
  PreflightFacts,
  RecordedFacts,
  RequestFacts,
  SourceFacts,
  StorageFacts,
  TargetFacts,
  TrafficFacts,
} from "./facts.ts";

const idsOf = (facts: PreflightFacts): readonly string[] => checkPreflight(facts).map(({ id }) => id);

const fine: PreflightFacts = fineMove;
const asked = (request: Partial<RequestFacts>, facts = fine): PreflightFacts => ({
  ...facts,
  request: { ...facts.request, ...request },
});
const recorded = (records: Partial<RecordedFacts>, facts = fine): PreflightFacts => ({
  ...facts,
  records: { ...facts.records, ...records },
});
const source = (change: Partial<SourceFacts>, facts = fine): PreflightFacts => ({
  ...facts,
  source: { ...(facts.source ?? fineMove.source), ...change },
});
const target = (change: Partial<TargetFacts>, facts = fine): PreflightFacts => ({
  ...facts,
  target: { ...fineMove.target, ...change },
});
const stored = (change: Partial<StorageFacts>, facts = fine): PreflightFacts => ({
  ...facts,
  storage: { ...facts.storage, ...change },
});
const fenced = (change: Partial<FenceFacts> = {}, facts = fine): PreflightFacts => ({
  ...facts,
  fence: { knowsSourceKey: known(true), ...change },
});
const booked = (
  change: Partial<DatabaseFacts>,
  manifestChange: Partial<typeof database> = {},
): PreflightFacts => {
  const books = { ...database, ...manifestChange };
  const facts = recorded({ database: books, declared: { manifest, storage, database: books } }, fenced());
  return { ...facts, database: { check: known(true), letsSourceIn: known(true), ...change } };
};
const told = (check: TrafficFacts["check"]): PreflightFacts => ({
  ...fine,
  traffic: [
    { target: "webhook http://one/", check: known(true) },
    { target: "webhook http://two/", check },
  ],
});
const orchestrator = (change: Partial<OrchestratorFacts>): PreflightFacts => ({
  ...fine,
  orchestrator: { ...fine.orchestrator, ...change },
});
const agent = (change: Partial<typeof status>, facts = fine): PreflightFacts =>
  source({ status: known({ ...status, ...change }) }, facts);
const leased = (change: Partial<typeof lease>, facts = fine): PreflightFacts =>
  stored({ lease: known({ ...lease, ...change }) }, facts);
const probed = (change: Partial<typeof probe>): PreflightFacts =>
  stored({ probe: known({ ...probe, ...change }) });
const witnessed = (change: Partial<typeof witness>, facts = fine): PreflightFacts =>
  source({ witness: known({ ...witness, ...change }) }, facts);
type Survey = typeof survey;
const surveyedSource = (change: Partial<Survey>, facts = fine): PreflightFacts =>
  source({ survey: known({ ...survey, ...change }) }, facts);
const surveyedTarget = (change: Partial<Survey>, facts = fine): PreflightFacts =>
  target({ survey: known({ ...survey, ...change }) }, facts);
const influenced = (kind: Survey["influences"][number]["kind"]): PreflightFacts =>
  surveyedTarget({ influences: [{ kind, detail: "it does" }] });
const [secret] = survey.references as [Survey["references"][number]];
type Reference = Partial<typeof secret>;
/** The same reference on the source and on the target. */
const named = (here: Reference, there: Reference): PreflightFacts =>
  surveyedTarget(
    { references: [{ ...secret, ...there }] },
    surveyedSource({ references: [{ ...secret, ...here }] }),
  );
const can = (change: Partial<typeof capabilities>) => known({ ...capabilities, ...change });
const declared = (change: Partial<typeof manifest>, facts = fine): PreflightFacts => {
  const changed = { ...manifest, ...change };
  return recorded({ manifest: changed, declared: { manifest: changed, storage, database: null } }, facts);
};
const hook = (change: Partial<Hook>): PreflightFacts => declared({ hook: { ...manifest.hook, ...change } });
const keptAs = (change: Partial<typeof storage>, facts = fine): PreflightFacts => {
  const changed = { ...storage, ...change };
  return recorded({ storage: changed, declared: { manifest, storage: changed, database: null } }, facts);
};
const took = (change: Partial<RecordedFacts["last"]>): PreflightFacts =>
  recorded({ last: { ...fine.records.last, ...change } });
const ran = (...command: string[]): PreflightFacts =>
  declared({ workload: { ...manifest.workload, command } });
const failover = asked({ strategy: "failover" }, fenced());
const mebibytes = (n: number) => known({ freeBytes: n * 1_048_576, missing: [] });
const waiting = { for: "a stop", since: "1970-01-01T00:00:00.000Z", until: null, next: "nothing" };
const other = "pl-00000000000000000009";

/** What each rule finds, alone; or with whatever follows from the same fact. */
const cases: readonly (readonly [ids: string | readonly string[], facts: PreflightFacts])[] = [
  ["same-cluster", target({ cluster: "harbor-a" })],
  ["already-deployed", asked({ kind: "deploy", strategy: null })],
  ["not-deployed", { ...fine, source: null, storage: fineDeploy.storage, records: fineDeploy.records }],
  ["operation-open", recorded({ otherOperation: "stop op-1 is open" })],
  ["application-halted", recorded({ haltedReason: "they contradict each other" })],
  [
    "manifest-changed",
    recorded({ declared: { manifest: { ...manifest, storage: "other" }, storage, database: null } }),
  ],
  ["manifest-gone", recorded({ declared: { manifest: null, storage, database: null } })],
  [
    "storage-changed",
    recorded({ declared: { manifest, storage: { ...storage, settleMs: 9 }, database: null } }),
  ],
  ["storage-gone", recorded({ declared: { manifest, storage: null, database: null } })],

  ["source-unreachable", source({ status: unknown("no answer") })],
  [["source-lost", "strategy-may-lose"], source({ status: unknown("no answer") }, failover)],
  ["source-not-running", agent({ state: "crashed", ready: false })],
  ["source-not-ready", agent({ ready: false })],
  ["source-not-open", agent({ open: false })],
  [["source-not-resting", "witness-contradicts"], agent({ state: "running" }, fineStart)],
  ["source-not-resting", agent({ state: "unknown", open: false }, fineStart)],
  ["source-waiting", agent({ waiting })],
  ["source-lease-unreadable", agent({ lease: { reachable: false, lost: false, detail: "no route" } })],
  ["source-lease-unreadable", agent({ lease: { reachable: false, lost: false, detail: null } })],
  ["source-lease-lost", agent({ lease: { reachable: true, lost: true, detail: null } })],
  ["source-key-unpinned", source({ isKeyPinned: false })],
  ["source-capabilities-unseen", source({ capabilities: unknown("no answer") })],
  ["source-without-witness", source({ capabilities: can({ witnessesFromOutside: false }) })],
  ["source-through-bucket", source({ capabilities: can({ reachesAgents: false }) })],
  ["source-unwitnessed", source({ witness: unknown("no answer") })],
  [["source-out-of-sight", "strategy-may-lose"], source({ witness: unknown("no answer") }, failover)],
  ["witness-unknown", witnessed({ state: "unknown", detail: "it may not be read" })],
  ["witness-unknown", witnessed({ state: "unknown" })],
  ["witness-running", witnessed({ state: "running" }, fineStart)],
  ["witness-contradicts", witnessed({ state: "terminated" })],
  ["source-agent-dead", witnessed({ agentAlive: false })],

  ["target-unavailable", target({ check: unknown("no route") })],
  ["target-capabilities-unseen", target({ capabilities: unknown("no route") })],
  ["target-without-standby", target({ capabilities: can({ holdsStandby: false }) })],
  ["target-agents-unreachable", target({ capabilities: can({ reachesAgents: false }) })],
  ["target-without-witness", target({ capabilities: can({ witnessesFromOutside: false }) })],
  ["target-room-unseen", target({ room: unknown("the driver cannot look") })],
  ["target-room-unseen", target({ room: known({ freeBytes: null, missing: [] }) })],
  ["target-program-missing", target({ room: known({ freeBytes: 2 ** 40, missing: ['program "x"'] }) })],
  ["target-full", target({ room: mebibytes(1) })],
  ["target-nearly-full", target({ room: mebibytes(100) })],
  ["survey-failed", source({ survey: unknown("no answer") })],
  ["survey-failed", target({ survey: unknown("no answer") })],
  ["survey-incomplete", surveyedSource({ unseen: ["autoscalers: not allowed"] })],
  ["rights-missing", surveyedTarget({ missingRights: ["create pods in namespace shop"] })],
  ["pods-refused", surveyedTarget({ refusals: ["a quota leaves 0 of pods"] })],
  ["pod-grace-too-short", surveyedSource({ graceMs: 9_000 })],
  ["reverted-by-gitops", influenced("reverts")],
  ["revived-by-argo", influenced("argo-cd")],
  ["revived-by-flux", influenced("flux")],
  ["revived-by-autoscaler", influenced("autoscaler")],
  ["revived-by-keda", influenced("keda")],
  ["revived-by-operator", influenced("operator")],
  ["unmanaged-workload", influenced("unmanaged")],
  ["recreated-by-controller", influenced("controller")],
  ["never-restarted", influenced("never-restarted")],
  ["guarded-by-budget", influenced("disruption-budget")],
  ["foreign-finalizer", influenced("finalizer")],
  ["reference-missing", named({}, { state: "absent", digest: null })],
  ["reference-missing", named({}, { state: "absent", digest: null, detail: "it has no key user" })],
  ["reference-optional-missing", named({}, { state: "absent", digest: null, optional: true })],
  ["reference-unseen", named({}, { state: "unknown", digest: null, detail: "not allowed" })],
  ["reference-unseen", named({ state: "unknown", digest: null, detail: "not allowed" }, {})],
  ["reference-unseen", named({ state: "unknown", digest: null }, {})],
  ["reference-differs", named({}, { digest: "e" })],
  ["data-key-unreadable", target({ dataKey: unknown("there is no such file") })],
  ["data-key-temporary", target({ dataKey: known({ isTemporary: true }) })],
  ["target-own-endpoint", keptAs({ clusters: { "harbor-b": { region: "b" } } })],

  ["lease-unreadable", stored({ lease: unknown("no answer") })],
  ["lease-missing", stored({ lease: known(null) })],
  ["lease-missing", recorded({ highestEpoch: 2 }, fineDeploy)],
  ["lease-foreign", leased({ owner: "them/ledger" })],
  ["lease-foreign", leased({ application: "other" })],
  ["lease-holder", leased({ holder: other })],
  ["lease-not-running", leased({ state: "stopped" })],
  ["lease-not-running", leased({ state: "fenced" })],
  ["lease-not-stopped", leased({ state: "fenced" }, fineStart)],
  ["lease-held", recorded({ highestEpoch: 1 }, leased({ state: "running" }, fineDeploy))],
  ["lease-epoch", agent({ epoch: 2 })],
  ["lease-run", agent({ run: { placement: other, instance: "1", counter: 2 } })],
  ["lease-run", agent({ run: null })],
  ["lease-newer", recorded({ highestEpoch: 0 })],
  ["lease-older", recorded({ epoch: 2, highestEpoch: 2 })],
  ["epochs-running-out", recorded({ highestEpoch: 2_000_000_000 })],

  ["storage-unprobed", stored({ probe: unknown("no answer") })],
  [
    "storage-unfit",
    probed({ tests: [{ name: "create-only", passed: false, required: true, detail: "stored" }] }),
  ],
  [
    "storage-deviates",
    probed({ tests: [{ name: "versions", passed: false, required: false, detail: "never" }] }),
  ],
  ["storage-if-match", probed({ ifMatch: "bare" })],
  ["storage-clock", probed({ clockSkewMs: -20_000 })],
  ["storage-clock-refused", probed({ clockSkewMs: 900_000 })],
  ["storage-clock-unknown", probed({ clockSkewMs: null })],
  ["control-key-unreadable", stored({ controlKey: unknown("there is no such file") })],
  ["control-key-temporary", stored({ controlKey: known({ isTemporary: true }) })],
  ["storage-unlistable", stored({ listing: unknown("denied") })],
  ["fence-unlistable", stored({ listing: unknown("denied") }, fenced())],
  ["uploads-unseen", stored({ openUploads: unknown("denied") })],
  ["uploads-open", stored({ openUploads: known(3) })],
  ["certificates-unreadable", stored({ certificateDays: unknown("no PEM") })],
  ["certificates-expired", stored({ certificateDays: known(-1) })],
  ["certificates-ending", stored({ certificateDays: known(12.5) })],
  ["storage-plain-http", keptAs({ endpoint: "http://s3.example.com" })],
  ["storage-plain-http", keptAs({ otherEndpoints: ["http://10.0.0.1:9000"] })],
  [
    ["replica-late", "target-own-endpoint"],
    keptAs({ clusters: { "harbor-b": { endpoint: "https://b.example.com", replica: "asynchronous" } } }),
  ],
  [
    ["settle-too-short", "kill-without-fence"],
    stored({ inFlight: known({ ms: 30_000 }) }, hook({ killAllowed: true })),
  ],
  ["in-flight-unseen", stored({ inFlight: unknown("no answer") })],

  ["database-unusable", booked({ check: unknown("no answer") })],
  ["database-role-unseen", booked({ letsSourceIn: unknown("no answer") })],
  ["database-role-refused", booked({ letsSourceIn: known(false) })],
  [
    "database-changed",
    recorded({ declared: { manifest, storage, database: { ...database, group: "others" } } }, booked({})),
  ],
  ["database-plain", booked({}, { url: "postgres://db.example.com/ledger" })],
  ["fence-incomplete", { ...booked({}), fence: null }],

  [["strategy-without-fence", "strategy-may-lose"], asked({ strategy: "failover" })],
  [["strategy-without-fence", "strategy-may-lose"], asked({ strategy: "force" })],
  ["strategy-may-lose", failover],
  ["strategy-halts", asked({ strategy: "halt" })],
  ["cold-move", asked({ cold: true })],
  ["kill-without-fence", hook({ killAllowed: true })],
  ["fence-unreachable", fenced({ knowsSourceKey: unknown("no answer") })],
  ["fence-without-key", fenced({ knowsSourceKey: known(false) })],
  [["fence-unmeasured", "strategy-may-lose"], stored({ inFlight: known(null) }, failover)],
  [["fence-unmeasured", "strategy-may-lose"], stored({ inFlight: known({ ms: null }) }, failover)],
  ["fence-not-ready", stored({ inFlight: known(null) }, fenced())],

  ["hook-too-long", hook({ graceMs: 3_595_000 })],
  ["grace-too-short", took({ stopMs: 9_000 })],
  [["hook-kills-server", "kill-without-fence"], hook({ preset: "redis", killAllowed: true })],
  ["hook-without-drain", hook({ drain: null })],
  ["hook-preset", ran("/usr/bin/redis-server")],
  ["hook-runner", ran("npm", "start")],
  ["data-stays-behind", hook({ dataDirectories: ["/var/lib/ledger"] })],
  ["readiness-too-short", took({ startMs: 40_000 })],
  ["readiness-tight", took({ startMs: 25_000 })],
  ["verify-missing", declared({ verify: undefined })],
  ["verify-reads-only", declared({ verify: { method: "GET", path: "/", timeoutMs: 1 } })],
  ["agent-version", agent({ agentVersion: "0.0.9" })],

  ["traffic-unusable", told({ known: false, why: "no answer" })],
  ["state-unwritable", orchestrator({ stateFreeBytes: unknown("EACCES") })],
  ["state-full", orchestrator({ stateFreeBytes: known(1) })],
];

describe("preflight", () => {
  it.each([
    ["a migration", fine],
    ["a deployment", fineDeploy],
    ["a start", fineStart],
  ])("finds nothing in %s where everything is as it must be", (_what, facts) => {
    expect(checkPreflight(facts)).toEqual([]);
  });

  it.each(cases)("finds %s", (ids, facts) => {
    expect(idsOf(facts).toSorted()).toEqual([ids].flat().toSorted());
    for (const { detail, means, fix } of checkPreflight(facts))
      expect([detail, means, fix].every((text) => /^[^\n]+[^\n.]$/.test(text))).toBe(true);
  });

  it("has a case for every rule, each with an id of its own", () => {
    const ids = preflightRules.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...new Set(cases.flatMap(([found]) => found))].toSorted()).toEqual(ids.toSorted());
  });

  it("says of everybody who cannot be told the route why not, and of nobody else", () =>
    expect(checkPreflight(told(unknown("no answer"))).map(({ detail }) => detail)).toEqual([
      "webhook http://two/: no answer",
    ]));

  it("passes over a change of who is told the route, which counts at once", () => {
    const traffic = [{ plugin: "command" as const, command: ["/bin/true"], timeoutMs: 1_000 }];
    const changed = { ...manifest, traffic };
    expect(idsOf(recorded({ declared: { manifest: changed, storage, database: null } }))).toEqual([]);
  });

  it("says what blocks first", () => {
    const facts = asked({ strategy: "halt" }, agent({ open: false, ready: false }));
    expect(checkPreflight(facts).map(({ severity }) => severity)).toEqual(["blocking", "warning", "info"]);
  });

  it("takes a fact that was not seen for fine in no place", () => {
    const blind = (part: object): object =>
      Object.fromEntries(
        Object.entries(part).map(([key, value]: [string, unknown]) => [
          key,
          typeof value === "object" && value !== null && "known" in value ? unknown("not seen") : value,
        ]),
      );
    for (const facts of [fine, failover, fineDeploy, fineStart, fenced(), booked({})])
      for (const part of ["source", "target", "storage", "fence", "database", "orchestrator"] as const) {
        const seen = facts[part];
        if (seen === null) continue;
        for (const key of Object.keys(seen)) {
          const facet = { [key]: (seen as unknown as Record<string, unknown>)[key] };
          const hidden = blind(facet);
          if (JSON.stringify(hidden) === JSON.stringify(facet)) continue;
          const without = { ...facts, [part]: { ...seen, ...hidden } };
          expect([part, key, idsOf(without).length]).not.toEqual([part, key, idsOf(facts).length]);
        }
      }
  });

  it("has nothing to say of references that matter to nobody", () => {
    const gone = { state: "absent", digest: null } as const;
    expect(idsOf(named(gone, { ...gone, optional: true }))).toEqual([]);
    expect(idsOf(named(gone, {}))).toEqual([]);
    expect(idsOf(named({ state: "unknown", digest: null }, { digest: null }))).toEqual([]);
    expect(idsOf(surveyedTarget({ references: [{ ...secret, what: "Secret shop/other" }] }))).toEqual([]);
  });

  it("has nothing to say of what surrounds placements that nobody else sees", () => {
    expect(idsOf(source({ survey: null }, target({ survey: null })))).toEqual([]);
    expect(idsOf(surveyedSource({ graceMs: null }, surveyedTarget({ graceMs: null })))).toEqual([]);
    expect(checkPreflight(influenced("keda"))[0]?.detail).toBe("on harbor-b: it does");
  });

  it("lets pass what another part makes up for", () => {
    const unseenSource = source({ capabilities: can({ witnessesFromOutside: false }) }, failover);
    expect(idsOf(witnessed({ state: "unknown" }, unseenSource))).toEqual(["strategy-may-lose"]);
    const served = keptAs({ credentials: { ...storage.credentials, delivery: "endpoint" } });
    expect(idsOf(target({ dataKey: known({ isTemporary: true }) }, served))).toEqual([]);
    expect(idsOf(target({ capabilities: can({ holdsStandby: false }) }, asked({ cold: true })))).toEqual([
      "cold-move",
    ]);
    const adopted = leased({ state: "fenced" }, recorded({ highestEpoch: 1, adoptedEpoch: 1 }, fineDeploy));
    expect(idsOf(adopted)).toEqual([]);
    expect(idsOf(recorded({ adoptedEpoch: 0 }, adopted))).toEqual(["lease-held"]);
    const leaseOnly = { ...manifest, storageUse: "lease" as const };
    expect(idsOf(declared(leaseOnly, stored({ inFlight: known(null) }, fenced())))).toEqual([]);
    expect(idsOf(booked({}))).toEqual([]);
    expect(idsOf(keptAs({ endpoint: "http://127.0.0.1:9000" }))).toEqual([]);
    expect(idsOf(took({ stopMs: null, startMs: null }))).toEqual([]);
    expect(idsOf(stored({ inFlight: known(null) }))).toEqual([]);
    expect(idsOf(stored({ inFlight: known(null) }, fenced({}, fineDeploy)))).toEqual([]);
  });
});
