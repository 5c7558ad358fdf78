-- Tables of the chat back end. Every statement may run again: the app applies this file at each start.
CREATE TABLE IF NOT EXISTS conversations (
    id         uuid        PRIMARY KEY,
    title      text        NOT NULL,
    model      text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS conversations_updated_at ON conversations (updated_at DESC);

CREATE TABLE IF NOT EXISTS messages (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id uuid        NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role            text        NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
    content         text        NOT NULL,
    model           text,
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS messages_conversation_id ON messages (conversation_id, id);
CREATE INDEX IF NOT EXISTS messages_created_at ON messages (created_at);

-- The help pages that answers quote. A handful of rows: their vectors are compared one by one, without an extension.
CREATE TABLE IF NOT EXISTS passages (
    id        text   PRIMARY KEY,
    title     text   NOT NULL,
    body      text   NOT NULL,
    embedding real[] NOT NULL
);
