import { type Run, isAppError } from "@baton/protocol";
import type { ObjectStore } from "@baton/storage";
import type { Exit } from "@baton/agent/testing";
import type { Machine, Random } from "@baton/storage/simulation";
import type { Oracle } from "./oracle.ts";
import { prefix } from "./names.ts";

/**
 * What an application does when it is told to stop. `graceful`: stores what it acknowledged, and exits with 0; `crashes`: exits with 1 and forgets
 * it; `refuses`: lives on; `leaves a child`: as graceful, but a process that its agent does not see writes on.
 */
export type StopManner = "graceful" | "crashes" | "refuses" | "leaves a child";

export interface ApplicationManners {
  readonly stop: StopManner;
  readonly start: "well" | "exits" | "never ready";
  readonly canary: "well" | "fails";
}

export interface Application {
  readonly run: Run;
  readonly epoch: number;
  /** Of the main process; null while it lives. */
  readonly exit: Exit | null;
  /** Whether any of its processes lives. */
  readonly isAlive: boolean;
  readonly isReady: boolean;
  readonly isOpen: boolean;
  open(): void;
  terminate(): void;
  /** All its processes die at once. */
  kill(): void;
  /** Writes something that nobody is promised. */
  canary(): Promise<boolean>;
}

const requestMs = 2_000;

/** Acknowledges entries from memory and stores them a little later, as many databases do: only its stop makes good what it promised. */
export function startApplication(deps: {
  readonly machine: Machine;
  readonly store: ObjectStore;
  readonly run: Run;
  readonly epoch: number;
  readonly manners: ApplicationManners;
  readonly isOpen: boolean;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly newEntry: () => number;
  /** The main process ended. */
  readonly onExit: () => void;
}): Application {
  const { machine, store, run, epoch, manners, random, oracle, newEntry } = deps;
  const { clock } = machine;
  const buffer: number[] = [];
  let segments = 0;
  let exit: Exit | null = null;
  let isAlive = true;
  let isReady = false;
  let isOpen = deps.isOpen;
  let isStopping = false;
  let flushing: Promise<void> = Promise.resolve();

  const end = (status: Exit, isWhole = true): void => {
    if (exit !== null) return;
    exit = status;
    if (isWhole) die();
    deps.onExit();
  };
  const die = (): void => {
    isAlive = false;
    machine.crash(null);
    oracle.gone(run);
  };
  /** The same bytes until the store has certainly taken them. @throws when its key is refused */
  const put = async (entries: readonly number[]): Promise<void> => {
    const key = `${prefix}${epoch}-${run.counter}-${(segments += 1)}`;
    for (;;)
      try {
        const put = await store.put({ key, body: JSON.stringify(entries), timeoutMs: requestMs });
        if (put.kind === "stored") return;
      } catch (error) {
        if (!isAppError(error) || error.code === "storage-credentials") throw error;
        await clock.sleep(500);
      }
  };
  const flush = (): Promise<void> => {
    flushing = flushing.then(async () => {
      const part = [...buffer];
      if (part.length > 0) await put(part);
      buffer.splice(0, part.length);
    });
    return flushing;
  };
  const crashOn = (work: Promise<void>): void => void work.catch(() => end({ code: 1, signal: null }));

  const serve = async (): Promise<void> => {
    await clock.sleep(random.between(50, 1_500));
    if (manners.start === "exits") return end({ code: 1, signal: null });
    for (let isReachable = false; !isReachable;)
      isReachable = await store.get({ key: prefix, timeoutMs: requestMs }).then(
        () => true,
        () => clock.sleep(500).then(() => false),
      );
    isReady = manners.start === "well";
    for (let turn = 1; !isStopping; turn += 1) {
      await clock.sleep(random.between(400, 1_600));
      if (!isOpen || isStopping) continue;
      const entry = newEntry();
      buffer.push(entry);
      oracle.acknowledged(run, entry);
      if (turn % 3 === 0) crashOn(flush());
    }
  };
  const leaveChild = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(random.between(500, 3_000));
      await put([]);
    }
  };
  const stop = async (): Promise<void> => {
    isStopping = true;
    await flush();
    await clock.sleep(random.between(10, 300));
    end({ code: 0, signal: null }, manners.stop !== "leaves a child");
    if (manners.stop === "leaves a child") await leaveChild();
  };

  oracle.began({ run, epoch });
  crashOn(serve());
  return {
    run,
    epoch,
    get exit() {
      return exit;
    },
    get isAlive() {
      return isAlive;
    },
    get isReady() {
      return isReady && exit === null;
    },
    get isOpen() {
      return isOpen && !isStopping && exit === null;
    },
    open: () => {
      isOpen = true;
    },
    terminate() {
      if (exit !== null || isStopping || manners.stop === "refuses") return;
      if (manners.stop === "crashes") end({ code: 1, signal: null });
      else crashOn(stop());
    },
    kill() {
      if (!isAlive) return;
      exit ??= { code: null, signal: "SIGKILL" };
      die();
      deps.onExit();
    },
    async canary() {
      if (manners.canary === "fails" || !this.isReady) return false;
      await put([]);
      return true;
    },
  };
}
