interface Schema {
  readonly _zod: { readonly optin?: string | undefined; readonly optout?: string | undefined };
}

/**
 * A schema that is made when something is first to be parsed by it. Making all of them takes longer than an agent has before it executes
 * its application, and most are about what comes later, or never. It can stand wherever the schema itself can, in another one too.
 * Not for a schema that is optional or has a default: objects ask their fields for that before there is anything to parse.
 *
 * @throws Error when the schema turns out to be optional
 */
export function deferred<S extends Schema>(make: () => S): S {
  let made: S | null = null;
  const schema = (): S => {
    if (made !== null) return made;
    made = make();
    if (made._zod.optin !== undefined || made._zod.optout !== undefined)
      throw new Error("cannot defer a schema that is optional or has a default");
    return made;
  };
  const inner = new Proxy({} as S["_zod"], {
    get: (_, name) => (name === "optin" || name === "optout" ? undefined : Reflect.get(schema()._zod, name)),
  });
  return new Proxy({} as S, {
    get: (_, name) => (name === "_zod" ? inner : Reflect.get(schema(), name)),
    has: (_, name) => name in schema(),
  });
}
