"""`septet chat`: runs reported, halted and resumed by messages of listed Telegram chats."""
