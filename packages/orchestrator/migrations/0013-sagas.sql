-- The name of an operation's table of steps, which it keeps until it ends. Null in rows of versions that knew one table of each kind: its first.
alter table operations add column saga text;
