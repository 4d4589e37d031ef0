/**
 * A later life of the operation's workflow has begun, in this process or in another: the one that is told this ends at once, takes nothing back
 * and records nothing. No AppError, for no client ever sees it.
 */
export class StaleTerm extends Error {
  override readonly name = "StaleTerm";

  constructor(operation: string, options?: ErrorOptions) {
    super(`cannot go on with ${operation}: a later life of it has begun`, options);
  }
}
