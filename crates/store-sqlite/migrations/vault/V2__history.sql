-- The same names as in a team server's file, so that one writer and one audit log serve both.
ALTER TABLE vault RENAME TO history;

-- Columns that only a team server fills.
ALTER TABLE audit ADD COLUMN project TEXT;
ALTER TABLE audit ADD COLUMN approval BLOB;
ALTER TABLE audit ADD COLUMN detail TEXT;
