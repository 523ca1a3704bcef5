"""Passages, questions and answers, good and bad, that the embedded judge is held to."""

from __future__ import annotations

MOON = (
    "The Moon's crust is composed mostly of anorthosite, a rock rich in calcium and aluminium that floated to the "
    "surface of an ancient ocean of magma. The dark plains that early astronomers took for seas are sheets of basalt, "
    "poured out by volcanoes more than three billion years ago. Beneath them lies a mantle of dense minerals and, at "
    "the centre, a small core of iron. Samples brought back by the Apollo missions show that the Moon is about 4.5 "
    "billion years old."
)
BREAD = (
    "Bread rises because yeast feeds on the sugars in flour and gives off carbon dioxide. Kneading stretches the "
    "proteins of the dough into a web of gluten, which traps the gas in small bubbles. In the oven the bubbles expand "
    "with the heat until the crust sets. A dough that is left too long before baking collapses, since the gluten "
    "weakens and can no longer hold the gas."
)
PRESS = (
    "Johannes Gutenberg, a goldsmith of Mainz, began to print with movable metal type about 1450. Each letter was cast "
    "separately, so that a page could be set, printed, and taken apart again. Before that, a scribe needed many months "
    "to copy a single Bible. Within fifty years of his invention there were printing shops in more than two hundred "
    "towns of Europe, and the price of books had fallen to a fraction."
)
KEEPER = (
    "The keeper climbed the tower at dusk to trim the wicks and light the lamp. Through the night he wound the "
    "clockwork that turned the lens, every four hours, and noted the weather in his log. In fog he sounded the horn. "
    "When electricity came, in the first half of the twentieth century, most keepers were no longer needed, and one by "
    "one the lights were left to run by themselves."
)
# The next two were not looked at while the judge's thresholds were chosen.
ICE = (
    "A glacier forms where more snow falls in winter than melts in summer. Year by year the weight of new snow presses "
    "the old into ice, until the mass is thick enough to flow downhill under its own weight. As it moves it plucks "
    "stones from its bed and grinds the rock beneath to powder. Where the ice melts, at the glacier's snout, it drops "
    "what it carried in ridges called moraines."
)
TEA = (
    "Black and green tea come from the leaves of the same shrub. For black tea the leaves are bruised and left in moist "
    "air for some hours, so that an enzyme turns them brown and changes their taste. For green tea the fresh leaves are "
    "steamed or roasted at once, which destroys the enzyme and keeps their colour. Both are then dried, or they would "
    "spoil on the way to market."
)

MADE_OF = "What is the Moon's crust made of?"
RISES = "Why does bread rise?"

GOOD_ANSWERS = [
    (MOON, MADE_OF, "It is made mostly of anorthosite, a rock rich in calcium and aluminium."),
    (MOON, "How old is the Moon?", "About 4.5 billion years."),
    (
        MOON,
        "What are the dark plains on the Moon?",
        "They are sheets of basalt that volcanoes poured out long ago.",
    ),
    (
        BREAD,
        RISES,
        "Yeast eats the sugars in the flour and releases carbon dioxide, which the gluten holds in bubbles.",
    ),
    (BREAD, "Why does old dough collapse?", "The gluten grows weak and can no longer hold the gas."),
    (PRESS, "Who invented printing with movable type?", "Johannes Gutenberg, a goldsmith from Mainz."),
    (PRESS, "When did Gutenberg begin to print?", "About 1450."),
    (
        KEEPER,
        "Why are there hardly any keepers now?",
        "Once electricity came, the lights could run by themselves.",
    ),
    (ICE, "How does a glacier form?", "Snow that does not melt in summer piles up and is pressed into ice."),
    (ICE, "What is a moraine?", "A moraine is a ridge of stones and rock dropped where the glacier melts."),
    (
        TEA,
        "Why does green tea stay green?",
        "Its fresh leaves are steamed at once, which destroys the enzyme.",
    ),
    (
        TEA,
        "Do black and green tea come from different plants?",
        "No, both come from leaves of the same shrub.",
    ),
]

BAD_ANSWERS = [
    ("made up", MOON, MADE_OF, "The moon is made of cheese."),
    ("made up", MOON, MADE_OF, "The Moon's crust is made of green cheese and chocolate."),
    ("a wrong number", MOON, "How old is the Moon?", "The Moon is about 900 years old."),
    ("an echo", MOON, MADE_OF, "What is the Moon's crust made of?"),
    ("empty", MOON, MADE_OF, "   "),
    ("off the topic", BREAD, RISES, "The stock market fell sharply after the announcement."),
    ("stuck", BREAD, RISES, "bread rises " * 20),
    ("chatter", BREAD, RISES, "Sure! I would be happy to help you with that. What would you like to know?"),
    ("about nothing", PRESS, "Who invented printing?", "The passage discusses several key points in detail."),
    (
        "another subject",
        PRESS,
        "Who invented printing?",
        "Alexander Graham Bell invented the telephone in Boston.",
    ),
    (
        "made up",
        KEEPER,
        "What did a keeper do at night?",
        "He slept in a hotel and watched television until breakfast.",
    ),
    ("the passage again", KEEPER, "What did a keeper do at night?", KEEPER),
    (
        "made up",
        ICE,
        "How does a glacier form?",
        "Glaciers are built by engineers with concrete and giant freezers.",
    ),
    ("off the topic", ICE, "What is a moraine?", "A violin has four strings that are tuned in fifths."),
    (
        "made up",
        TEA,
        "Why does green tea stay green?",
        "Farmers paint the leaves with emerald dye from Brazil.",
    ),
    ("another script", TEA, "Why does green tea stay green?", "因为新鲜的叶子立即被蒸熟了,所以保持绿色。"),
]

GOOD_QUESTIONS = [
    (MOON, "What rock makes up most of the Moon's crust?"),
    (BREAD, "How does kneading help bread to rise?"),
    (PRESS, "How long did a scribe need to copy a Bible?"),
    (KEEPER, "What did lighthouse keepers do in fog?"),
    (ICE, "Why do glaciers flow downhill?"),
    (TEA, "What is the difference between black and green tea?"),
]

BAD_QUESTIONS = [
    (MOON, "What does the passage say?"),
    (BREAD, "What a beautiful way to celebrate a moment!"),
    (PRESS, "What's your next question?"),
    (KEEPER, "Why did he climb it?"),
    (ICE, "How many strings does a violin have?"),
    (TEA, "According to the text, what happens to the leaves?"),
]
