import { AppError } from "@baton/protocol";

const answerMs = 5_000;

/** The database's answer in time, or `database-unavailable`: who is not known by then is not let in, and what is not on record is not done. */
export async function inTime<T>(query: Promise<T>, what: string): Promise<T> {
  const tooLate = Promise.withResolvers<never>();
  const timer = setTimeout(() => tooLate.reject(new Error(`no answer in ${answerMs} ms`)), answerMs);
  try {
    return await Promise.race([query, tooLate.promise]);
  } catch (cause) {
    throw new AppError("database-unavailable", `cannot ${what}: the database does not answer; try again`, {
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}
