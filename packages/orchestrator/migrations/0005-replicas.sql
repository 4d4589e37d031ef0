-- That an endpoint that shows writes late had caught up before an application was started there.
alter table operations add column replica jsonb;
