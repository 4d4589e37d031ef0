import { constants } from "node:os";
import { signalName } from "@baton/protocol";
import type { Exit } from "./application.ts";

/** By shell convention: the status itself, or 128 + the signal's number. Unknown is 1: it certainly was no success that anybody saw. */
function shellStatus(exit: Exit | null): number {
  if (exit === null) return 1;
  if (exit.signal === null) return exit.code ?? 1;
  const numbers = constants.signals as Readonly<Record<string, number>>;
  return 128 + (numbers[exit.signal] ?? realTimeNumber(exit.signal));
}

/** The same after the user's map: { "143": 0 }. */
export const exitStatus = (exit: Exit | null, map: Readonly<Record<string, number>>): number => {
  const status = shellStatus(exit);
  return map[String(status)] ?? status;
};

function realTimeNumber(name: string): number {
  for (let number = 34; number <= 64; number += 1) if (signalName(number) === name) return number;
  return 0;
}
