// Why something is in quarantine, in words, and what to do about it.

/** By code: [name, what it means]. */
export const REASONS = {
  header_undecodable: ['Unreadable header', 'Not even the header of the envelope can be read; its batches show as a gap in the ledger.'],
  envelope_undecodable: ['Unreadable envelope', 'The header can be read, its content can\'t.'],
  envelope_version: ['Unknown version', 'Written by a newer receiver than the worker that read it. A redrive helps once workers are as new.'],
  count_mismatch: ['Counts differ', 'The header tells of other numbers of batches than the envelope holds.'],
  envelope_time: ['Wrong time of the envelope', 'Accepted too long ago, or in the future, for claims to prove that it counts once.'],
  rejected: ['Refused', 'A worker or the database refused it again and again. A redrive helps once the cause is mended.'],
  max_receives: ['Given up', 'Delivered too often without success; workers try it once more and keep it here.'],
  batch_undecodable: ['Unreadable batch', 'One batch of the envelope can\'t be read; the others counted.'],
  event_time: ['Events out of time', 'Its events are too old, or in the future.'],
  batch_id_time: ['Batch id out of time', 'The time in the batch\'s id is outside of the window that is accepted.'],
  no_samples: ['No samples', 'Nothing is left in it that counts.'],
  erased: ['Erased', 'The vehicle\'s data was erased on request: only the claim is left, so that the ledger adds up.'],
  batch_invalid: ['Invalid batch', 'Its values are outside of what is possible.'],
};

export const reasonName = (code) => REASONS[code]?.[0] ?? code.replaceAll('_', ' ');
export const reasonMeaning = (code) => REASONS[code]?.[1] ?? '';
