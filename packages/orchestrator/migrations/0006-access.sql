-- Who may ask. A token itself is nowhere here: it is shown once and known by its digest from then on.
create table tokens (
  name text primary key,
  role text not null check (role in ('viewer', 'operator', 'admin')),
  digest bytea not null unique check (length(digest) = 32),
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz
);

-- Who asked for a change, written before anything is done and kept for ever; no reference to tokens, which come and go.
create table audit (
  id bigint generated always as identity primary key,
  request text not null unique,
  who text not null,
  role text not null,
  what text not null,
  subject text,
  at timestamptz not null default now()
);

-- What came of it. Where it is missing nobody knows: the orchestrator or its database ended first.
create table audit_outcomes (
  request text primary key references audit (request),
  status integer not null,
  -- Of the error table; null where it went well.
  code text,
  -- What it made, by its id.
  made text,
  at timestamptz not null default now()
);

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit trail is only added to';
end $$;
create trigger audit_is_immutable before update or delete on audit
  for each row execute function refuse_audit_change();
create trigger audit_is_kept before truncate on audit
  for each statement execute function refuse_audit_change();
create trigger audit_outcomes_are_immutable before update or delete on audit_outcomes
  for each row execute function refuse_audit_change();
create trigger audit_outcomes_are_kept before truncate on audit_outcomes
  for each statement execute function refuse_audit_change();

-- The name of the token; null for operations that are older than names.
alter table operations add column started_by text;
