import { canonicalJson } from "@baton/clusters";
import { isLoopback } from "./is-loopback.ts";
import { type Rule, unseen, valueOf } from "./rule.ts";

/** The database beside the storage, where the application has one. */
export const databaseRules: readonly Rule[] = [
  {
    id: "database-unusable",
    severity: "blocking",
    means: "the target would get no role, and be started without its database",
    fix: "bring the database up, and correct its administrator's rights",
    check: ({ database }) => unseen(database?.check, "the database cannot be used"),
  },
  {
    id: "database-role-unseen",
    severity: "warning",
    means: "whether the source can still write there was not seen",
    fix: "bring the database up",
    check: ({ database }) => unseen(database?.letsSourceIn, "the source's role cannot be tried"),
  },
  {
    id: "database-role-refused",
    severity: "warning",
    means: "the application lives on connections that it cannot make anew",
    fix: "find out who shut the role out",
    check: ({ database, source }) =>
      source?.expected === "serving" && valueOf(database?.letsSourceIn) === false
        ? `the database does not let ${source.placement} in`
        : null,
  },
  {
    id: "database-changed",
    severity: "warning",
    means: "a move stays with the database that it was deployed on; what was declared since is not used",
    fix: "deploy the application anew to use what is declared now",
    check: ({ records: { database, declared } }) =>
      declared.database !== null && canonicalJson(database) !== canonicalJson(declared.database)
        ? `the database ${declared.database.name} is not declared as it was when the application was deployed`
        : null,
  },
  {
    id: "database-plain",
    severity: "warning",
    means: "whoever is on the way reads and changes what the application stores",
    fix: 'give "ca" of the database the certificates to trust',
    check: ({ records: { database } }) =>
      database !== null && database.ca === undefined && !isLoopback(database.url)
        ? `connections to the database ${database.name} are not encrypted`
        : null,
  },
  {
    id: "fence-incomplete",
    severity: "warning",
    means: "the role can be taken away and the key to the bucket cannot, so together they are no fence",
    fix: 'give the storage a "fence", or say "storageUse: lease" of an application that keeps nothing there',
    check: ({ database, fence }) =>
      database !== null && fence === null ? "the application writes to a storage that has no fence" : null,
  },
];
