-- What storages were seen to do. No reference to storages: a manifest that is refused was probed as well.
create table probes (
  id bigint generated always as identity primary key,
  storage text not null,
  kind text not null check (kind in ('probe', 'in-flight')),
  -- A digest of what was probed: what is on record of another manifest of this name says nothing of the present one.
  subject text not null,
  tested_at timestamptz not null default now(),
  thorough boolean not null default false,
  -- Null where it came to no verdict; then `error` says why.
  result jsonb,
  error jsonb,
  check ((result is null) <> (error is null))
);
create index newest_probes on probes (storage, kind, id desc);
