import { constants } from "node:os";
import { AppError } from "./errors.ts";

export interface Signal {
  readonly number: number;
  /** Canonical: "SIGTERM", "SIGRTMIN+3". */
  readonly name: string;
}

/** As glibc gives them to programs (signal(7)); the two below belong to its threads. */
const firstRealTime = 34;
const lastRealTime = 64;

/**
 * A signal by name or number: "SIGTERM", "TERM", "15", 15, "RTMIN+3", "SIGRTMAX-1".
 *
 * @throws AppError `invalid-request` for anything else
 */
export function parseSignal(value: string | number): Signal {
  const text = String(value).trim().toUpperCase();
  const number = /^\d{1,2}$/.test(text) ? Number(text) : numberOf(text.replace(/^SIG/, ""));
  const name = number === null ? null : signalName(number);
  if (number === null || name === null)
    throw new AppError(
      "invalid-request",
      `cannot use a signal that does not exist: give a name or a number, such as TERM, SIGTERM, 15 or RTMIN+3`,
    );
  return { number, name };
}

function numberOf(name: string): number | null {
  const known = (constants.signals as Readonly<Record<string, number>>)[`SIG${name}`];
  if (known !== undefined) return known;
  const [, base, offset = "0"] = /^(RTMIN|RTMAX)([+-]\d{1,2})?$/.exec(name) ?? [];
  if (base === undefined) return null;
  const number = (base === "RTMIN" ? firstRealTime : lastRealTime) + Number(offset);
  return number >= firstRealTime && number <= lastRealTime ? number : null;
}

/** The canonical name of a signal's number; null when there is none. */
export function signalName(number: number): string | null {
  if (number >= firstRealTime && number <= lastRealTime)
    return number === firstRealTime ? "SIGRTMIN" : `SIGRTMIN+${number - firstRealTime}`;
  const named = Object.entries(constants.signals).find(([, value]) => value === number);
  return named === undefined ? null : named[0];
}
