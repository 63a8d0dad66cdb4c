"""`septet chat`: runs told about, halted and resumed by messages of listed Telegram chats."""
