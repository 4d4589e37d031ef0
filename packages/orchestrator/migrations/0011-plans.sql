-- What a plan's hash is over, part by part, for as long as somebody may start an operation by it and want to know what changed.
create table plans (
  hash text primary key check (hash ~ '^[0-9a-f]{64}$'),
  parts jsonb not null,
  made_at timestamptz not null default now()
);
create index plans_by_age on plans (made_at);

-- What the preflight of an operation found.
alter table operations add column findings jsonb;
