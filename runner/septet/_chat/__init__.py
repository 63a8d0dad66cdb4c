"""`septet chat`: reports, halts and resumes runs by messages of listed Telegram chats."""
