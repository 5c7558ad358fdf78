-- Runs once, when the database is made. The passwords are read from the secrets and stand in no log.
\set claw_password `cat /run/secrets/postgres_claw_password`
\set exporter_password `cat /run/secrets/postgres_exporter_password`
SET log_statement = 'none';

-- The application's own: it may change its database and nothing else.
CREATE ROLE claw LOGIN PASSWORD :'claw_password';
CREATE DATABASE claw OWNER claw;
REVOKE CONNECT, TEMPORARY ON DATABASE claw FROM PUBLIC;

-- What both exporters log in as: reads statistics and tables, writes nothing.
CREATE ROLE claw_exporter LOGIN PASSWORD :'exporter_password' IN ROLE pg_monitor, pg_read_all_data;
GRANT CONNECT ON DATABASE claw TO claw_exporter;
