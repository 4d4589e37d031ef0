create table installation (
  id uuid primary key default gen_random_uuid(),
  single boolean not null unique default true check (single)
);
insert into installation default values;

create table clusters (
  name text primary key,
  manifest jsonb not null,
  updated_at timestamptz not null default now()
);

create table storages (
  name text primary key,
  manifest jsonb not null,
  updated_at timestamptz not null default now()
);

create table applications (
  name text primary key,
  manifest jsonb not null,
  -- Of the placement that serves; 0 before the first one.
  epoch integer not null default 0,
  -- Written before every lease write: a lease with a higher epoch is newer than these records.
  highest_epoch integer not null default 0,
  placement text,
  -- Set when the records and the lease contradict each other: nothing may be done until a person decides.
  halted_reason text,
  updated_at timestamptz not null default now()
);

-- Immutable snapshots, kept for ever.
create table deployments (
  id text primary key,
  application text not null references applications (name),
  manifest jsonb not null,
  storage jsonb not null,
  created_at timestamptz not null default now()
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'deployments are immutable';
end $$;
create trigger deployments_are_immutable before update or delete on deployments
  for each row execute function refuse_change();
create trigger deployments_are_kept before truncate on deployments
  for each statement execute function refuse_change();

create table placements (
  id text primary key,
  application text not null references applications (name),
  deployment text not null references deployments (id),
  cluster text not null references clusters (name),
  -- Archived for ever: receipts must stay verifiable after the placement is gone.
  public_key jsonb,
  application_url text,
  created_at timestamptz not null default now(),
  retired_at timestamptz
);
alter table applications add foreign key (placement) references placements (id);

create table operations (
  id text primary key,
  kind text not null check (kind in ('deploy', 'migrate')),
  application text not null references applications (name),
  deployment text not null references deployments (id),
  source text references placements (id),
  target text not null references placements (id),
  from_cluster text,
  to_cluster text not null,
  state text not null default 'open'
    check (state in ('open', 'rolling-back', 'past-pivot', 'committed', 'rolled-back', 'halted')),
  reason text,
  known_epoch integer not null,
  epoch_before integer,
  epoch_after integer,
  receipt jsonb,
  ledger jsonb not null,
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  version integer not null default 1
);

-- The lock of an application is this row: one operation that has not ended well, and a halted one keeps it.
create unique index one_open_operation on operations (application)
  where state in ('open', 'rolling-back', 'past-pivot', 'halted');

create table steps (
  operation text not null references operations (id),
  position integer not null,
  name text not null,
  pivot boolean not null,
  state text not null default 'pending',
  started_at timestamptz,
  ms double precision,
  detail text,
  primary key (operation, name)
);

create table receipts (
  key text primary key,
  operation text not null references operations (id),
  placement text not null references placements (id),
  jws text not null,
  created_at timestamptz not null default now()
);
