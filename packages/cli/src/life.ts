import { AppError } from "@baton/protocol";

const seconds = { m: 60, h: 3_600, d: 86_400 } as const;
const longestDays = 3_650;

/** Reads "90m", "12h", "30d". @returns seconds. @throws AppError `invalid-request`. */
export function parseLife(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,7})([mhd])$/.exec(text) ?? [];
  const life = Number(digits) * (seconds[unit as keyof typeof seconds] ?? 0);
  if (life > 0 && life <= longestDays * seconds.d) return life;
  throw new AppError(
    "invalid-request",
    `cannot let a token expire after "${text}": it must be minutes, hours or days, like 90m, 12h or 30d, and at most ${longestDays}d`,
  );
}
