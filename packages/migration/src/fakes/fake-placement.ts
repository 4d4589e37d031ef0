import {
  AppError,
  type AgentStatus,
  type Receipt,
  type Run,
  isAppError,
  newNonce,
  sameRun,
} from "@baton/protocol";
import { type LeaseChange, type ObjectStore, changeLease } from "@baton/storage";
import { createTestClock } from "@baton/storage/testing";
import type { PlacementPort, VerifiedReceipt } from "../ports.ts";

/** How the application of a placement answers a stop; `straggler`: the agent takes it for gone, and a process of it lives on. */
export type StopManner = "graceful" | "refused" | "silent" | "crashed-during-stop" | "unknown" | "straggler";

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

type AgentChange = Extract<LeaseChange, { readonly kind: "run" | "restart" | "renew" | "stop" | "burn" }>;
type Fields<C> = C extends AgentChange ? Omit<C, "owner" | "holder"> : never;

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
  /** Neither its agent nor its cluster answers; what runs there runs on. */
  isAway = false;
  state: "absent" | "held" | "running" | "stopped" | "removed" = "absent";
  /** The application ended by itself, and was not started since. */
  died = false;
  /** It ended otherwise than by a graceful stop while clients were let in: what was acknowledged may be lost. */
  lostWrites = false;
  clientsLetIn = false;
  run: Run | null = null;
  epoch = 0;
  /** What `run` was made from; it is still to be used on the lease when the run never came to be. */
  #grant = "";
  readonly #params: FakePlacementParams;
  readonly #receipts = new Map<string, VerifiedReceipt>();
  readonly #withdrawn = new Set<string>();
  readonly #burned = new Set<string>();
  readonly #starts = new Map<string, { readonly run: Run; readonly error: unknown }>();

  constructor(params: FakePlacementParams) {
    this.#params = params;
    this.placement = params.placement;
    this.cluster = params.cluster;
  }

  place = (): Promise<AgentStatus> => {
    if (this.state === "absent") {
      this.state = "held";
      this.effects.placed += 1;
    }
    return this.status();
  };

  status = async (): Promise<AgentStatus> => {
    this.#assertPlaced();
    return {
      placement: this.placement,
      instance: "1",
      agentVersion: "0",
      state: this.state as "held" | "running" | "stopped",
      epoch: this.epoch,
      run: this.run,
      ready: this.state === "running",
      open: this.clientsLetIn,
      lease: { reachable: true, lost: false, detail: null },
      waiting: null,
    };
  };

  witness: PlacementPort["witness"] = async () => {
    this.#assertThere();
    const truth = this.state === "running" ? "running" : "terminated";
    const state = this.witnessed === "truth" ? truth : this.witnessed;
    return { state, agentAlive: true, processes: [], detail: null, observedAt: "" };
  };

  remove = async (): Promise<void> => {
    this.#assertThere();
    if (this.state === "running") throw new AppError("wrong-state", "the application lives");
    if (this.state !== "absent" && this.state !== "removed") this.effects.removed += 1;
    this.state = "removed";
  };

  stop: PlacementPort["stop"] = async ({ key, run, epoch, kill }) => {
    this.#assertPlaced();
    if (this.#withdrawn.has(key)) throw new AppError("command-withdrawn", "that stop was withdrawn");
    const known = this.#receipts.get(key);
    if (known !== undefined) return this.#params.confirm(key, known.jws);
    if (!sameRun(run, this.run) || epoch !== this.epoch)
      throw new AppError("wrong-state", "that run is over");
    if (this.stopManner === "silent") return;
    const wasRunning = this.state === "running";
    const isKilled = kill === true && this.stopManner === "refused";
    const ends = isKilled || this.stopManner === "graceful" || this.stopManner === "crashed-during-stop";
    if (wasRunning && ends) {
      this.effects.stops += 1;
      this.lostWrites ||= this.clientsLetIn && this.stopManner !== "graceful";
      this.#setRunning(false);
    }
    if (this.state !== "running") await this.#endOnLease(run, epoch);
    const said = this.stopManner === "straggler" ? "graceful" : this.stopManner;
    const outcome = isKilled ? "forced" : said;
    this.clientsLetIn &&= this.stopManner !== "straggler";
    const made = this.#write({
      key,
      epoch,
      run,
      outcome: wasRunning ? outcome : "already-stopped",
      evidenceClass: wasRunning && outcome === "unknown" ? "unknown" : "proven",
    });
    this.#params.confirm(key, made.jws);
  };

  receipt: PlacementPort["receipt"] = async ({ key }) => {
    this.#assertPlaced();
    return this.#receipts.get(key) ?? null;
  };

  verifyReceipt = async (jws: string): Promise<VerifiedReceipt> => JSON.parse(jws) as VerifiedReceipt;

  start: PlacementPort["start"] = async ({ key, epoch, grant }) => {
    this.#assertPlaced();
    if (this.#burned.has(grant)) throw new AppError("grant-burned", "that grant was burned");
    const started = this.#starts.get(key) ?? (await this.#begin(epoch, grant));
    // An order that failed has failed for good: asked again, it is the same one.
    this.#starts.set(key, started);
    if (started.error !== null) throw started.error;
    const at = "1970-01-01T00:00:00.000Z";
    return { run: started.run, execAt: at, readyAt: at, startMs: 1 };
  };

  burn: PlacementPort["burn"] = async ({ key, epoch, grant }) => {
    this.#assertPlaced();
    if (this.#grant === grant) throw new AppError("wrong-state", "that grant became a run");
    if (!this.#burned.has(grant)) this.effects.burns += 1;
    this.#burned.add(grant);
    this.epoch = epoch;
    await this.#change({ kind: "burn", epoch, grant });
    return this.#write({ key, epoch, run: null, outcome: "never-started", evidenceClass: "proven" });
  };

  withdraw: PlacementPort["withdraw"] = async ({ key, epoch }) => {
    this.#assertPlaced();
    if (epoch < this.epoch) throw new AppError("stale-epoch", `the agent is in epoch ${this.epoch}`);
    this.#withdrawn.add(key);
    return this.status();
  };

  open: PlacementPort["open"] = async ({ run }) => {
    this.#assertPlaced();
    if (this.state !== "running" || !sameRun(run, this.run))
      throw new AppError("wrong-state", "that run is over");
    this.clientsLetIn = true;
  };

  verify = async (): Promise<void> => {
    this.#assertPlaced();
    if (this.verifyFails) throw new AppError("application-not-ready", "the canary failed");
  };

  /** The application, if there is one, ends by itself. */
  die = async (): Promise<void> => {
    if (this.run === null || this.state !== "running") return;
    this.died = true;
    this.lostWrites ||= this.clientsLetIn;
    this.#setRunning(false);
    await this.#endOnLease(this.run, this.epoch);
  };

  /** Its machine loses power, and says nothing any more. */
  losePower = (): void => {
    this.isAway = true;
    this.#setRunning(false);
  };

  /** Its machine is back, and the application starts again in its slot. */
  restart = async (): Promise<void> => {
    const from = this.run as Run;
    this.isAway = false;
    const run = { ...from, counter: this.effects.execs + 1 };
    await this.#change({ kind: "restart", epoch: this.epoch, from, run });
    this.run = run;
    this.effects.execs += 1;
    this.#setRunning(true);
  };

  #assertThere(): void {
    if (this.isAway) throw new AppError("cluster-unavailable", `${this.cluster} does not answer`);
  }

  #assertPlaced(): void {
    if (this.isAway) throw new AppError("agent-unreachable", `${this.placement} does not answer`);
    if (this.state === "absent" || this.state === "removed")
      throw new AppError("unknown-placement", `there is no ${this.placement}`);
  }

  async #begin(epoch: number, grant: string): Promise<{ readonly run: Run; readonly error: unknown }> {
    const run = { placement: this.placement, instance: "1", counter: this.effects.execs + 1 };
    try {
      await this.#change({ kind: "run", epoch, grant, run });
    } catch (error) {
      this.epoch = epoch;
      // Refused for certain, or else it is open whether the grant was used: then it counts as a run that never came to be.
      if (isAppError(error) && error.code !== "storage-unclear") return { run, error };
      Object.assign(this, { run, epoch, state: "stopped" });
      this.#grant = grant;
      await this.#endOnLease(run, epoch);
      return { run, error };
    }
    Object.assign(this, { run, epoch, died: false });
    this.#grant = grant;
    this.effects.execs += 1;
    this.#setRunning(true);
    if (!this.startFails) return { run, error: null };
    await this.die();
    return { run, error: new AppError("application-exited", "the application exited with status 1") };
  }

  /** As well as it can: the receipt says it too. The grant of a run that never came to be is used up first. */
  async #endOnLease(run: Run, epoch: number): Promise<void> {
    const wasExecuted = run.counter <= this.effects.execs;
    const take = wasExecuted ? undefined : this.#change({ kind: "run", epoch, run, grant: this.#grant });
    await Promise.resolve(take)
      .then(() => this.#change({ kind: "stop", epoch, run }))
      .catch(() => undefined);
  }

  #setRunning(running: boolean): void {
    this.state = running ? "running" : "stopped";
    this.clientsLetIn = false;
    this.#params.onRunning(this.placement, running);
  }

  async #change(fields: Fields<AgentChange>): Promise<void> {
    const { store, prefix, owner, placement: holder } = this.#params;
    const change = { ...fields, owner, holder };
    await changeLease({ store, prefix, change, deadlineMs: 1_000, clock: createTestClock() });
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
      phases: [],
      timings: { receivedAt: moment, signalledAt: moment, exitedAt: moment, verifiedAt: moment, stopMs: 1 },
      evidence: { treeGone: what.outcome === "graceful", remaining: [], checks: [], bootId: "b" },
      agentVersion: "0",
      ...what,
    };
    const verified = { receipt, jws: JSON.stringify({ receipt, jws: newNonce() }) };
    this.#receipts.set(what.key, verified);
    return verified;
  }
}
