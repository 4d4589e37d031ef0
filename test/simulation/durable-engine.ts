import type { Engine, RecordedError, StepResult } from "@baton/migration";
import { AppError, toAppError } from "@baton/protocol";
import { type Tables, rowOf } from "./database.ts";
import type { OrchestratorDeps } from "./orchestrator-deps.ts";

/** Another life works on the operation: what this one still had in mind is void. */
export class Replaced extends Error {
  override readonly name = "Replaced";
}

/** A transaction of one life of an operation. @throws Replaced once a later one has begun */
export async function transactAs<T>(
  { database, machine }: Pick<OrchestratorDeps, "database" | "machine">,
  { operation, term }: { readonly operation: string; readonly term: number },
  change: (tables: Tables) => readonly [Tables, T],
): Promise<T> {
  const done = await database.transact<{ readonly value: T } | null>(machine, (tables) => {
    if (rowOf(tables, operation).term !== term) return [tables, null];
    const [next, value] = change(tables);
    return [next, { value }];
  });
  if (done === null) throw new Replaced(operation);
  return done.value;
}

const lookMs = 250;
/** A person takes longer. */
const seldomLookMs = 2_000;

/** The journal of one operation in the database, as one life of one process works with it. Stands for `dbos-engine.ts` and DBOS. */
export function createEngine(deps: OrchestratorDeps, operation: string, term: number): Engine {
  const { machine, database, scheduler, note } = deps;
  const keyOf = (name: string): string => `${operation} ${name}`;
  const recorded = <T>(name: string): T | undefined => {
    const entry = database.tables.journal[keyOf(name)];
    return entry === undefined ? undefined : (JSON.parse(entry) as T);
  };
  const record = async <T>(name: string, value: T, topic?: string): Promise<T> => {
    const key = keyOf(name);
    const isFirst = await transactAs(deps, { operation, term }, (tables) => {
      if (tables.journal[key] !== undefined) return [tables, false];
      deps.onRecord(operation, name);
      const { received } = tables;
      return [
        {
          ...tables,
          journal: { ...tables.journal, [key]: JSON.stringify(value) },
          received: topic === undefined ? received : { ...received, [topic]: (received[topic] ?? 0) + 1 },
        },
        true,
      ];
    });
    if (!isFirst) throw new Replaced(name);
    return JSON.parse(JSON.stringify(value)) as T;
  };
  /** The database's time: it goes on while nobody works on the operation. */
  const endOf = async (name: string, ms: number): Promise<number> =>
    recorded<number>(`${name}.until`) ?? record(`${name}.until`, scheduler.nowMs() + ms);

  const captured = <T>(
    name: string,
    deadlineMs: number,
    work: (signal: AbortSignal) => Promise<T>,
    interruption: (() => Promise<RecordedError | null>) | undefined,
  ): Promise<StepResult<T>> =>
    new Promise((resolve, reject) => {
      const aborting = new AbortController();
      let isOpen = true;
      const end = (settle: () => void): void => {
        if (!isOpen) return;
        isOpen = false;
        cancel();
        settle();
      };
      const fail = (error: unknown): void => {
        if (error instanceof Replaced) return end(() => reject(error));
        const { code, message } = toAppError(error);
        end(() => {
          note(`${machine.name}: ${operation} ${name} failed, ${code}`);
          resolve({ ok: false, error: { code, detail: message } });
        });
      };
      const cancel = machine.timer(deadlineMs, `deadline of ${name}`, () => {
        const late = new AppError("deadline-exceeded", `cannot finish ${name}: ${deadlineMs} ms have passed`);
        aborting.abort(late);
        fail(late);
      });
      const watch = async (ask: () => Promise<RecordedError | null>): Promise<void> => {
        while (isOpen) {
          const why = await ask();
          if (why !== null) {
            const aborted = new AppError("aborted", why.detail);
            aborting.abort(aborted);
            return fail(aborted);
          }
          await machine.clock.sleep(2 * lookMs);
        }
      };
      if (interruption !== undefined) watch(interruption).catch(fail);
      work(aborting.signal).then((value) => end(() => resolve({ ok: true, value })), fail);
    });

  return {
    async step<T>(
      name: string,
      deadlineMs: number,
      work: (signal: AbortSignal) => Promise<T>,
      interruption?: () => Promise<RecordedError | null>,
    ) {
      const known = recorded<StepResult<T>>(name);
      if (known !== undefined) return known;
      note(`${machine.name}: ${operation} ${name}`);
      return record(name, await captured(name, deadlineMs, work, interruption));
    },
    async receive(name, topic, timeoutMs) {
      const known = recorded<unknown>(name);
      if (known !== undefined) return known;
      const key = keyOf(topic);
      const untilMs = timeoutMs === Infinity ? Infinity : await endOf(name, timeoutMs);
      const message = (): string | undefined => {
        const { messages, received } = database.tables;
        return messages[key]?.[received[key] ?? 0];
      };
      while (message() === undefined && scheduler.nowMs() < untilMs)
        await machine.clock.sleep(untilMs === Infinity ? seldomLookMs : lookMs);
      const text = message();
      return text === undefined ? record(name, null) : record(name, JSON.parse(text) as unknown, key);
    },
    async sleep(name, ms) {
      const leftMs = (await endOf(name, ms)) - scheduler.nowMs();
      if (leftMs > 0) await machine.clock.sleep(leftMs);
    },
  };
}
