-- Who is or was told where an application is served: what he shall know, and what he confirmed.
create table traffic_receivers (
  application text not null references applications (name),
  target text not null,
  plugin jsonb not null,
  -- Grows with every change of what he shall know, and only who saw the present one may change it: so nothing older comes after something newer.
  revision bigint not null,
  epoch integer not null,
  -- Null: that nothing serves.
  route jsonb,
  wanted_at timestamptz not null default now(),
  -- Not in the manifest any more.
  is_last boolean not null default false,
  told_revision bigint not null default 0,
  told_epoch integer,
  told_route jsonb,
  told_at timestamptz,
  tries integer not null default 0,
  next_try_at timestamptz not null default now(),
  error text,
  error_at timestamptz,
  -- Who is telling him; nobody else does before this moment.
  claim integer not null default 0,
  claimed_until timestamptz,
  primary key (application, target)
);
