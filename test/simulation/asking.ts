import { type AppError, toAppError } from "@baton/protocol";
import { type Machine, ask } from "@baton/storage/simulation";

type Net = Omit<Parameters<typeof ask>[0], "from" | "to" | "what" | "timeoutMs" | "handle">;
type Answer<T> = { readonly value: T } | { readonly error: AppError };

/** One question over the network; null when no answer came in time. @throws what the other side threw */
export type Asking = <T>(
  from: Machine,
  to: Machine,
  what: string,
  timeoutMs: number,
  work: () => Promise<T>,
) => Promise<{ readonly value: T } | null>;

export const createAsking =
  (net: Net): Asking =>
  async <T>(from: Machine, to: Machine, what: string, timeoutMs: number, work: () => Promise<T>) => {
    const handle = (reply: (answer: Answer<T>) => void): void => {
      work().then(
        (value) => reply({ value }),
        (error: unknown) => reply({ error: toAppError(error) }),
      );
    };
    const answer = await ask<Answer<T>>({ ...net, from, to, what, timeoutMs, handle });
    if (answer !== null && "error" in answer) throw answer.error;
    return answer;
  };
