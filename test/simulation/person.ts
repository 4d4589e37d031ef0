import { decisionTopic, receiptTopic } from "@baton/migration";
import { type Random, type Scheduler, createMachine } from "@baton/storage/simulation";
import { type Database, type Tables, withMessage, withRow } from "./database.ts";
import { moment } from "./names.ts";
import type { Oracle } from "./oracle.ts";
import type { Sights } from "./sights.ts";

/** Decides about halted operations, so often and no more, and takes back what goes forward. Overrides only what is true. Stands for `decisions.ts`. */
export interface Person {
  told(operation: string): void;
  abort(): void;
  /** Nothing more is to be expected. */
  readonly isDone: boolean;
}

export function createPerson(deps: {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly database: Database;
  readonly oracle: Oracle;
  readonly sights: Sights;
  readonly note: (line: string) => void;
  readonly decisions: number;
}): Person {
  const { scheduler, random, database, oracle, sights, note } = deps;
  const machine = createMachine({ name: "a person", scheduler, main: () => {} });
  machine.start();
  let left = deps.decisions;

  const decide = (tables: Tables, id: string): Tables => {
    const row = tables.operations.find((one) => one.id === id);
    if (row === undefined || row.halt === null) return tables;
    const may = {
      forward: ["abort", "resume", "override"],
      back: ["resume", "override"],
      "past-pivot": ["resume"],
    } as const;
    const wanted = random.pick<"abort" | "resume" | "override">(may[row.state]);
    // Who answers for it that nothing is left has looked.
    const kind = wanted === "override" && oracle.living > 0 ? "resume" : wanted;
    if (kind !== "resume") sights.see(kind);
    note(`a person: ${kind} ${id}`);
    const decision = { kind, reason: "decided", by: "person", at: moment };
    return withMessage(
      withRow(tables, id, { decisions: [...row.decisions, decision] }),
      `${id} ${decisionTopic(row.halt.number)}`,
      decision,
    );
  };
  return {
    get isDone() {
      return left === 0;
    },
    told(id) {
      machine.deliver(random.between(3_000, 40_000), "a person decides", () => {
        if (left === 0) return;
        left -= 1;
        void database.transact(machine, (tables) => [decide(tables, id), null]);
      });
    },
    abort: () =>
      void database.transact(machine, (tables) => {
        const row = tables.operations.find(
          ({ end, halt, state }) => end === null && halt === null && state === "forward",
        );
        if (row === undefined || row.isAborted) return [tables, null];
        sights.see("abort");
        note(`a person: abort ${row.id}`);
        // What is no receipt ends the wait for one.
        return [
          withMessage(withRow(tables, row.id, { isAborted: true }), `${row.id} ${receiptTopic}`, null),
          null,
        ];
      }),
  };
}
