import { AppError, type ErrorCode } from "@baton/protocol";
import type { ObjectStore, PutResult } from "../object-store.port.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Sights } from "./sights.ts";

/** How often what goes wrong; probabilities for each request or message. */
export interface Weather {
  readonly unreachable: number;
  readonly lost: number;
  readonly answerLost: number;
  /** 5xx: the write may have been taken, or not. */
  readonly failed: number;
  /** 409: somebody else's write was under way. */
  readonly conflict: number;
  readonly duplicated: number;
  /** Under way for up to half a minute. */
  readonly late: number;
}

interface Net {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly weather: Weather;
  /** Whether nothing gets through between the two just now; the store is called "store". */
  readonly isCut?: ((one: string, other: string) => boolean) | undefined;
  readonly sights: Sights;
}

const theStore = "store";

const isLost = (net: Net, from: string, to: string): boolean =>
  net.isCut?.(from, to) === true || net.random.chance(net.weather.lost);
const isAnswerLost = (net: Net, from: string, to: string): boolean =>
  net.isCut?.(from, to) === true || net.random.chance(net.weather.answerLost);

const delayMs = ({ random, weather }: Net): number =>
  random.chance(weather.late) ? random.between(500, random.pick([3_000, 30_000])) : random.between(1, 80);

/** A store as one machine reaches it: requests are judged when they arrive, and only then. */
export function connect(
  params: Net & { readonly machine: Machine; readonly store: ObjectStore },
): ObjectStore & {
  /** Bodies that the store took and whose sender does not know it yet. */
  readonly unheard: ReadonlySet<string>;
} {
  const { machine, store, scheduler, random, weather, sights } = params;
  const unheard = new Set<string>();

  const request = <T>(
    what: string,
    timeoutMs: number,
    perform: (isCopy: boolean) => Promise<T>,
    hear: () => void,
    refused?: T,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const { life } = machine;
      let isOpen = true;
      let stopTimer = (): void => {};
      const end = (settle: () => void): void => {
        if (!isOpen) return;
        isOpen = false;
        stopTimer();
        hear();
        settle();
      };
      const fail = (code: ErrorCode) => (): void =>
        end(() => reject(new AppError(code, `cannot ${what}: planted; nothing to do`)));
      const answer = (settle: () => void): void => {
        if (!isAnswerLost(params, machine.name, theStore))
          machine.deliver(delayMs(params), `answer to ${what}`, settle, life);
      };
      stopTimer = machine.timer(timeoutMs, `${what} times out`, fail("storage-unclear"));
      if (random.chance(weather.unreachable)) {
        machine.deliver(random.between(1, 300), `${what}: no connection`, fail("storage-unreachable"));
        return;
      }
      const arrive = (isCopy: boolean): void => {
        if (refused !== undefined && random.chance(weather.conflict))
          return answer(() => end(() => resolve(refused)));
        const fails = random.chance(weather.failed);
        if (fails && random.chance(0.5)) return answer(fail("storage-unclear"));
        perform(isCopy).then(
          (result) => answer(fails ? fail("storage-unclear") : () => end(() => resolve(result))),
          (error: Error) => answer(() => end(() => reject(error))),
        );
      };
      const copies = refused !== undefined && random.chance(weather.duplicated) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1)
        if (!isLost(params, machine.name, theStore))
          scheduler.after(delayMs(params), `${machine.name}'s ${what} arrives`, () => arrive(copy > 0));
    });

  let last = "";
  return {
    unheard,
    get: (params) =>
      request(
        "get",
        params.timeoutMs,
        () => store.get(params),
        () => {},
      ),
    put: (params) => {
      const body = String(params.body);
      const take = async (isCopy: boolean): Promise<PutResult> => {
        if (isCopy && last !== body) sights.see("duplicate after another write");
        const result = await store.put(params);
        if (result.kind === "refused") return result;
        last = body;
        unheard.add(body);
        return result;
      };
      return request<PutResult>("put", params.timeoutMs, take, () => unheard.delete(body), {
        kind: "refused",
      });
    },
    remove: (params) =>
      request(
        "remove",
        params.timeoutMs,
        () => store.remove(params),
        () => {},
      ),
  };
}

/** One question of one machine to another, perhaps asked twice; null when no answer came in time. */
export function ask<T>(
  params: Net & {
    readonly from: Machine;
    readonly to: Machine;
    readonly what: string;
    readonly timeoutMs: number;
    readonly handle: (reply: (answer: T) => void) => void;
  },
): Promise<T | null> {
  const { from, to, what, timeoutMs, handle, scheduler, random, weather } = params;
  return new Promise((resolve) => {
    const { life } = from;
    const stopTimer = from.timer(timeoutMs, `no answer to ${what}`, () => resolve(null));
    const hear = (answer: T): void => {
      stopTimer();
      resolve(answer);
    };
    const reply = (answer: T): void => {
      if (!isAnswerLost(params, to.name, from.name))
        from.deliver(delayMs(params), `answer to ${what}`, () => hear(answer), life);
    };
    const copies = random.chance(weather.duplicated) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1)
      if (!isLost(params, from.name, to.name))
        scheduler.after(delayMs(params), `${what} arrives`, () => {
          to.deliver(0, what, () => handle(reply));
        });
  });
}
