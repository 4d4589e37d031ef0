-- What took the place of a receipt, or stood beside one, and whether acknowledged writes may be lost: kept with the operation for ever.
alter table operations add column fence jsonb;
alter table operations add column possible_loss boolean not null default false;
