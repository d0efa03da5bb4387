/** What goes over the wire in Nym's handshake (nym.md §12): KKT request and response, messages 1 and 2. */
export const NYM_HANDSHAKE_BYTES = { first: 91, firstReply: 1_207, second: 1_247, secondReply: 70 } as const;
