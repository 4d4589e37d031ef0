import type { KeyHolder } from "@baton/migration";
import type { RoleFence } from "@baton/protocol";
import { assertRoleOpen, fenceRole } from "@baton/storage/fence";
import type { DatabaseRoles } from "./database-roles.ts";
import type { Fence } from "./fence-port.ts";

const requestMs = 10_000;
/** Longer than a server waits for the password of somebody who says nothing (`authentication_timeout`, usually 60 s). */
const shutOutMs = 90_000;

/** The fence of a database whose placements have roles of their own. */
export function createRoleFence(roles: DatabaseRoles): Fence<RoleFence> {
  const { admin } = roles;
  const at = (holder: KeyHolder) => ({ role: roles.roleOf(holder), tryLogin: roles.tryLogin(holder) });
  return {
    assertOpen: (holder) => assertRoleOpen({ admin, ...at(holder), timeoutMs: requestMs }),
    apply: (holder) => fenceRole({ admin, ...at(holder), deadlineMs: shutOutMs }),
    disable: (holder) => admin.disable({ role: roles.roleOf(holder), timeoutMs: requestMs }),
  };
}
