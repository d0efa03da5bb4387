/**
 * Which releases speak this protocol (nym.md §3.3): an announcement has no version, the node's build version stands for it.
 */
const FIRST_MAJOR = 1;
const FIRST_MINOR = 27;
const MAX_TEXT_LENGTH = 64;

/** Whether a node of this build (nym-node's, such as 1.31.0) speaks the deployed protocol; false for what is no version. */
export function speaksDeployedProtocol(buildVersion: string): boolean {
  if (buildVersion.length > MAX_TEXT_LENGTH) return false;
  const match = /^(\d{1,6})\.(\d{1,6})\.\d{1,6}(?:[-+].*)?$/.exec(buildVersion);
  if (match === null) return false;
  const major = Number(match[1]);
  return major > FIRST_MAJOR || (major === FIRST_MAJOR && Number(match[2]) >= FIRST_MINOR);
}
