import { AppError, type AgentStatus, type Receipt, type Run, newNonce, sameRun } from "@baton/protocol";
import { type ObjectStore, changeLease, readLease } from "@baton/storage";
import type { PlacementPort, VerifiedReceipt } from "../ports.ts";

/** How the application of a placement answers a stop. */
export type StopManner = "graceful" | "refused" | "silent" | "crashed-during-stop" | "unknown";

export interface FakePlacementParams {
  readonly placement: string;
  readonly cluster: string;
  readonly owner: string;
  readonly application: string;
  readonly prefix: string;
  readonly store: ObjectStore;
  /** Where a confirmation goes. */
  readonly confirm: (key: string, jws: string) => void;
  /** Told when the application begins and ends to run: the place to look for two at once. */
  readonly onRunning: (placement: string, running: boolean) => void;
}

/** An agent and its cluster in memory: the agent's rules on grants, runs, keys and epochs, and the real lease code on the given store. */
export class FakePlacement implements PlacementPort {
  readonly placement: string;
  readonly cluster: string;
  /** What was really done, as its receiver counts it. */
  readonly effects = { placed: 0, removed: 0, execs: 0, stops: 0, burns: 0 };
  stopManner: StopManner = "graceful";
  startFails = false;
  verifyFails = false;
  witnessed: "truth" | "unknown" | "running" = "truth";
  state: "absent" | "held" | "running" | "stopped" | "removed" = "absent";
  clientsLetIn = false;
  run: Run | null = null;
  epoch = 0;
  readonly #params: FakePlacementParams;
  readonly #receipts = new Map<string, VerifiedReceipt>();
  readonly #withdrawn = new Set<string>();
  readonly #burned = new Set<string>();
  readonly #starts = new Map<string, Run>();

  constructor(params: FakePlacementParams) {
    this.#params = params;
    this.placement = params.placement;
    this.cluster = params.cluster;
  }

  checkCluster = (): Promise<void> => Promise.resolve();

  place = (): Promise<AgentStatus> => {
    if (this.state === "absent") {
      this.state = "held";
      this.effects.placed += 1;
    }
    return this.status();
  };

  status = (): Promise<AgentStatus> => {
    if (this.state === "absent" || this.state === "removed")
      return Promise.reject(new AppError("unknown-placement", `there is no ${this.placement}`));
    return Promise.resolve({
      placement: this.placement,
      instance: "1",
      agentVersion: "0",
      state: this.state,
      epoch: this.epoch,
      run: this.run,
      ready: this.state === "running",
      open: this.clientsLetIn,
      lease: { reachable: true, lost: false, detail: null },
    });
  };

  witness: PlacementPort["witness"] = () => {
    const truth = this.state === "running" ? "running" : this.state === "absent" ? "unknown" : "terminated";
    const state = this.witnessed === "truth" ? truth : this.witnessed;
    return Promise.resolve({ state, agentAlive: true, processes: [], detail: null, observedAt: "" });
  };

  remove = (): Promise<void> => {
    if (this.state === "running") return Promise.reject(new AppError("wrong-state", "the application lives"));
    if (this.state !== "absent" && this.state !== "removed") this.effects.removed += 1;
    this.state = "removed";
    return Promise.resolve();
  };

  stop: PlacementPort["stop"] = async ({ key, run, epoch }) => {
    if (this.#withdrawn.has(key)) throw new AppError("command-withdrawn", "that stop was withdrawn");
    const known = this.#receipts.get(key);
    if (known !== undefined) return this.#params.confirm(key, known.jws);
    if (!sameRun(run, this.run) || epoch !== this.epoch)
      throw new AppError("wrong-state", "that run is over");
    if (this.stopManner === "silent") return;
    const ended = this.stopManner === "graceful" || this.stopManner === "crashed-during-stop";
    if (ended && this.state === "running") {
      this.effects.stops += 1;
      this.#setRunning(false);
      await this.#change({ kind: "stop", holder: this.placement, epoch, run });
    }
    const made = this.#write({
      key,
      epoch,
      run,
      outcome: this.stopManner,
      evidenceClass: this.stopManner === "unknown" ? "unknown" : "proven",
    });
    this.#params.confirm(key, made.jws);
  };

  receipt: PlacementPort["receipt"] = ({ key }) => Promise.resolve(this.#receipts.get(key) ?? null);

  verifyReceipt = (jws: string): Promise<VerifiedReceipt> =>
    Promise.resolve(JSON.parse(jws) as VerifiedReceipt);

  start: PlacementPort["start"] = async ({ key, epoch, grant }) => {
    if (this.#burned.has(grant)) throw new AppError("grant-burned", "that grant was burned");
    let run = this.#starts.get(key);
    if (run === undefined) {
      if (this.state === "running" || epoch < this.epoch)
        throw new AppError("wrong-state", `cannot start: ${this.state}, epoch ${this.epoch}`);
      run = { placement: this.placement, instance: "1", counter: this.effects.execs + 1 };
      await this.#change({ kind: "run", holder: this.placement, epoch, grant, run });
      this.#starts.set(key, run);
      this.epoch = epoch;
      this.run = run;
      this.effects.execs += 1;
      this.#setRunning(true);
      if (this.startFails) {
        this.#setRunning(false);
        await this.#change({ kind: "stop", holder: this.placement, epoch, run });
      }
    }
    if (this.startFails) throw new AppError("application-exited", "the application exited with status 1");
    return { run, execAt: "1970-01-01T00:00:00.000Z", readyAt: "1970-01-01T00:00:00.000Z", startMs: 1 };
  };

  burn: PlacementPort["burn"] = async ({ key, epoch, grant }) => {
    const known = this.#receipts.get(key);
    if (known !== undefined) return known;
    if (this.state === "running" && epoch === this.epoch)
      throw new AppError("wrong-state", "that grant became a run");
    this.#burned.add(grant);
    this.effects.burns += 1;
    this.epoch = epoch;
    const view = await readLease({
      store: this.#params.store,
      prefix: this.#params.prefix,
      timeoutMs: 1_000,
    });
    if (view?.lease.grant === grant)
      await this.#change({ kind: "burn", holder: this.placement, epoch, grant });
    return this.#write({ key, epoch, run: null, outcome: "never-started", evidenceClass: "proven" });
  };

  withdraw: PlacementPort["withdraw"] = ({ key }) => {
    this.#withdrawn.add(key);
    return this.status();
  };

  open: PlacementPort["open"] = ({ run }) => {
    if (this.state !== "running" || !sameRun(run, this.run))
      return Promise.reject(new AppError("wrong-state", "that run is over"));
    this.clientsLetIn = true;
    return Promise.resolve();
  };

  verify = (): Promise<void> =>
    this.verifyFails
      ? Promise.reject(new AppError("application-not-ready", "the canary failed"))
      : Promise.resolve();

  #setRunning(running: boolean): void {
    this.state = running ? "running" : "stopped";
    this.clientsLetIn = false;
    this.#params.onRunning(this.placement, running);
  }

  #change(change: Record<string, unknown> & { readonly kind: "run" | "stop" | "burn" }) {
    const { store, prefix, owner } = this.#params;
    return changeLease({
      store,
      prefix,
      change: { owner, ...change } as Parameters<typeof changeLease>[0]["change"],
      deadlineMs: 1_000,
    });
  }

  #write(what: Pick<Receipt, "key" | "epoch" | "run" | "outcome" | "evidenceClass">): VerifiedReceipt {
    const moment = "1970-01-01T00:00:00.000Z";
    const receipt: Receipt = {
      version: 1,
      operation: "op-00000000000000000000",
      application: this.#params.application,
      placement: this.placement,
      exit: null,
      signals: [],
      timings: { receivedAt: moment, signalledAt: moment, exitedAt: moment, verifiedAt: moment, stopMs: 1 },
      evidence: { treeGone: what.outcome === "graceful", remaining: [], bootId: "b" },
      agentVersion: "0",
      ...what,
    };
    const verified = { receipt, jws: JSON.stringify({ receipt, jws: newNonce() }) };
    this.#receipts.set(what.key, verified);
    return verified;
  }
}
