// The packed image as it stands, between two names that hello_image.cpp knows.

    .section .rodata
    .balign 64
    .global locald_hello_layout_begin
    .hidden locald_hello_layout_begin
locald_hello_layout_begin:
    .incbin HELLO_LAYOUT
    .global locald_hello_layout_end
    .hidden locald_hello_layout_end
locald_hello_layout_end:
    .byte 0

    .section .note.GNU-stack,"",%progbits
