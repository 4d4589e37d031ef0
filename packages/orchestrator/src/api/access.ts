import type { Role } from "@baton/protocol";

/**
 * Who may ask for what: the one table. `anyone` needs no token. A route that is not here is for admins only, and a test finds it.
 *
 * Viewers look. Operators also do what an operator on duty does with what is declared. Admins also say what there is, and who may do what.
 */
export const access: Readonly<Record<string, Role | "anyone">> = {
  "GET /livez": "anyone",
  "GET /readyz": "anyone",
  "GET /metrics": "viewer",
  // An agent's; its signature is the credential.
  "POST /v1/confirmations": "anyone",

  "GET /v1/clusters": "viewer",
  "PUT /v1/clusters/:name": "admin",

  "GET /v1/storages": "viewer",
  "GET /v1/storages/:name": "viewer",
  "PUT /v1/storages/:name": "admin",
  "DELETE /v1/storages/:name": "admin",
  "POST /v1/storages/:name/probe": "operator",
  // These read or write files of the orchestrator's machine that the request names.
  "POST /v1/storages/:name/rotate": "admin",
  "POST /v1/storages/:name/inventory": "admin",
  "POST /v1/storages/:name/adopt": "admin",

  "GET /v1/databases": "viewer",
  "PUT /v1/databases/:name": "admin",

  "GET /v1/applications": "viewer",
  "PUT /v1/applications/:name": "admin",
  "GET /v1/applications/:name/route": "viewer",
  "GET /v1/applications/:name/traffic": "viewer",

  // It probes.
  "POST /v1/plans": "operator",

  "GET /v1/operations": "viewer",
  "POST /v1/operations": "operator",
  "GET /v1/operations/:id": "viewer",
  "GET /v1/operations/:id/events": "viewer",
  "GET /v1/operations/:id/explanation": "viewer",
  "GET /v1/operations/:id/receipts": "viewer",
  "POST /v1/operations/:id/decisions": "operator",

  "GET /v1/tokens": "admin",
  "POST /v1/tokens": "admin",
  "DELETE /v1/tokens/:name": "admin",
  "GET /v1/audit": "admin",
};

/** Denies by default. */
export function neededRole(method: string, path: string): Role | "anyone" {
  const route = `${method} ${path}`;
  return Object.hasOwn(access, route) ? (access[route] ?? "admin") : "admin";
}
