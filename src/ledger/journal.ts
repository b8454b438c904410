import fs from 'node:fs';
import path from 'node:path';
import { redact } from '../report/secrets.ts';
import { documentText, parseHeader, parseLine, readIfThere, writeTemporary, writeWhole } from './document.ts';
import { applyEvent, emptyRecord, type JournalEvent, type WorktreeRecord } from './record.ts';

const FORMAT = 'coppice-journal';
/** A journal past this many bytes is rewritten as one snapshot when a set-up opens it. */
const COMPACT_ABOVE = 256 * 1024;

/** The journal of one worktree, open for writing. Only who owns the worktree's record may hold one. */
export interface Journal {
  readonly record: WorktreeRecord;
  /** Appends one event, as one line and one write. A crash keeps all of it or none. */
  append(event: JournalEvent): void;
  /** Returns when all that was appended is on the disk. Called before a change outside this machine's files. */
  sync(): void;
  close(): void;
}

/**
 * What the journal in a worktree's folder of the ledger says; null when there is none yet.
 * A last line without its end was being written at a crash: it was never acknowledged and is left out.
 * @throws {Failure} when any other line is damaged, or a newer Coppice wrote it.
 */
export function readJournal(folder: string): WorktreeRecord | null {
  const file = path.join(folder, 'journal');
  const text = readIfThere(file);
  return text === null ? null : foldText(text, file);
}

function foldText(text: string, file: string): WorktreeRecord | null {
  const lines = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1);
  const [first, ...events] = lines;
  if (first === undefined) return null;
  const head = parseHeader(first, FORMAT, file);
  return events
    .map((line) => parseLine(line, file) as unknown as JournalEvent)
    .reduce(applyEvent, emptyRecord(String(head.worktree), String(head.repository)));
}

/** Opens a worktree's journal for writing, making it when there is none. */
export function openJournal(folder: string, worktree: string, repository: string): Journal {
  const file = path.join(folder, 'journal');
  const text = readIfThere(file) ?? '';
  let record = foldText(text, file);
  const opening = documentText(FORMAT, { worktree, repository });
  if (record === null) {
    fs.renameSync(writeTemporary(file, opening), file);
    record = emptyRecord(worktree, repository);
  } else if (text.length > COMPACT_ABOVE) {
    fs.renameSync(writeTemporary(file, `${opening}${eventLine({ event: 'snapshot', record })}`), file);
  } else if (!text.endsWith('\n')) {
    fs.truncateSync(file, Buffer.byteLength(text.slice(0, text.lastIndexOf('\n') + 1)));
  }
  const fd = fs.openSync(file, 'a', 0o600);
  let size = fs.fstatSync(fd).size;
  return {
    get record() {
      return record as WorktreeRecord;
    },
    append(given) {
      const event = withoutSecrets(given);
      const line = eventLine(event);
      try {
        writeWhole(fd, line);
      } catch (error) {
        // A full disk can take half a line: what is not acknowledged must not stay.
        fs.ftruncateSync(fd, size);
        throw error;
      }
      size += Buffer.byteLength(line);
      record = applyEvent(record as WorktreeRecord, event);
    },
    sync: () => fs.fdatasyncSync(fd),
    close: () => fs.closeSync(fd),
  };
}

/** What is only to be read by people. All else is needed as it is, to find and destroy what was made, and is made without secrets. */
function withoutSecrets(event: JournalEvent): JournalEvent {
  if (event.event === 'warnings') return { ...event, warnings: event.warnings.map(redact) };
  if (event.event === 'url' || event.event === 'plan') return { ...event, url: event.url && redact(event.url) };
  return event;
}

function eventLine(event: JournalEvent): string {
  return `${JSON.stringify(event)}\n`;
}
