"""The words that generated texts are made of, and the closed lists that some checks count by.

A filler word is plain English in small letters: no pronoun, palindrome, number or keyword, so that a text gets these only
where it is meant to. Lists of other languages hold words that no English text has.
"""

from __future__ import annotations

import functools

from dataforge.verifiers.instructing.words import spread

SMALL = spread(
    "the of and to in for on with as at by from or but not more when so out up into than only other some after also "
    "many over most through between under where while because"
)
"""Small words: they make a text read as English."""

PLAIN = spread("""
    able above across add afternoon age ago agree ahead air album alley almost alone along amber ancient angle animal
    answer apple april arrive autumn avenue awake bake balcony band bank barn basket bay beach bean bed bell bench
    berry bicycle big bird blanket blue boat bold bone book border bottle bowl box branch brave bread breeze bridge
    brief bright bring broad brother brown brush build burn bus butter button buy cabin cake calm camera candle canoe
    carpet carry castle cat cave chair chalk change cheap cheese cherry child choose city clay clean clear clever climb
    clock cloth cloud coast coat coffee coin cold color cook copper corn corner cotton country court cousin cozy crowd
    cup curtain dance dark dawn day deep deer desert desk dinner dirt dish distant dog door dozen draw dream dress
    drift drink drive drum dry duck dust eager early earth east easy eat edge effort egg empty engine enjoy evening
    every face factory fair fall family famous farm fast father feather fence field find fine finger fire fish flag
    flame flat floor flour flower fly fog fold forest fork found free fresh friend frost fruit full funny garden gate
    gentle ghost giant gift give glad glass glove goat gold good grain grand grape grass gray green ground grow guest
    guitar hair half hall hammer hand happy hard hat hay heart heavy hedge hello help hill history hold hollow home
    honest honey hope horse hot hotel hour house huge hungry ice idea inch indoor ink iron island ivory jacket jar job
    join joke journey juice jump june jungle keep kettle kind kitchen kite knee knife knock lake lamp land large late
    laugh lawn lazy leaf learn leather left lemon lesson letter library lift light line lion listen little living
    local long loose loud love lovely low lucky lunch machine magic make map maple market match meadow meal measure
    melon memory metal middle mild milk mill mirror mist modern moment month mood moon moss mother motor mouse mouth
    move mud music nail narrow near neat needle nest never new next nice night noble noise north nose notice number
    nurse oak oat object ocean odd office often oil old olive onion open orange orchard oven owl own pack page paint
    pale palm pan paper parade parent park part party pass path pause pear pencil people pepper perfect piano picnic
    picture piece pillow pine pink pipe place plain plan plant plate play pleasant plum pocket poem point polite pond
    porch post potato powder practice pretty print proud pull pumpkin puppy purple push quarter queen quick quiet quilt
    rabbit race rail rain raise rapid reach read ready red rest rice rich ride right ring ripe rise road robin rock
    roof room root rope rose rough round row ruby rule run rural safe sail salad salt same sand scarf school sea seat
    second seed sell send seven shade shape share sharp sheep shelf shell shine ship shirt shoe shop shore short
    shoulder show shy side silk silver simple sing sister sit sky sleep slow small smart smell smile smoke smooth snow
    soap soft song sort sound soup south space spark speak spice spoon spring square stable stair stand start station
    stay steam steel step stew stick still stone stop store storm story stove straight strange street strong student
    study sugar summer sun sweet swim table tail talk tall tea teach tell tent thank thick thin thing thread throw
    thunder ticket tidy tiger tiny toast today together tomato tool tooth top touch tower town toy track trade train
    travel tree trip true trust turn twin uncle upper useful usual valley velvet very village violet violin visit voice
    wagon wait wake walk wall want warm wash watch water wave wax way weather weave week well west wheat wheel whisper
    white whole wide wild willow wind window wine winter wise wish wolf wonder wood wool word work world write yard
    year yellow yesterday young zebra zero
    """)
"""Plain words of every first letter but x."""

KEYWORDS = spread("""
    harbor lantern compass orchestra blueprint telescope marathon archive glacier festival backpack cinnamon volcano
    tradition puzzle notebook horizon recipe satellite theater bakery champion curiosity detective emerald fountain
    gravity hurricane instrument jewelry kingdom labyrinth museum navigator obstacle pyramid quarry rainbow sculpture
    treasure umbrella vaccine waterfall yogurt zeppelin
    """)
"""Words that tasks ask for or forbid; no filler."""

PHRASES = ("solar panel", "night market", "open source", "train ticket", "mountain pass", "ice-cold lemonade")
"""Keywords of more than one word."""

OTHER_KEYWORDS = (
    "café", "naïve", "Zürich", "jalapeño", "Ærø", "Москва", "東京", "C++", "don't", "20th", "Ελλάδα", "x-ray",
)  # fmt: skip
"""Keywords with accents, other scripts, signs and digits, which a whole-word match must get right."""

PALINDROMES = spread(
    "level radar civic kayak noon refer rotor madam stats tenet deed peep minim solos redder"
)
PRONOUNS = frozenset(
    spread(
        "i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself we us "
        "our ours ourselves they them their theirs themselves"
    )
)
"""English personal and possessive pronouns, with the reflexive ones."""

MADE_PRONOUNS = spread("she her they them we us our you your he his their")
CAPITALS = spread("IMPORTANT NASA BREAKING UNESCO ALWAYS NEVER WARNING FINALLY SPECIAL WELCOME")
PLACEHOLDERS = (
    "[name]",
    "[address]",
    "[date]",
    "[city]",
    "[company]",
    "[email]",
    "[phone]",
    "[title]",
    "[país]",
)
EMOJI = ("🎉", "😀", "🌍", "👍🏽", "👩‍🚀", "🇫🇷", "❤️", "🦊", "🍀", "☀️", "✨", "👨‍👩‍👧‍👦")
TITLES = ("Quiet River", "Morning Light", "Small Garden", "Winter Road", "Old Harbor Nights", "Été à Paris")
ENDINGS = (
    "Is there anything else I can help with?", "Any other questions?", "Hope this helps.", "That is all for today!",
    "Peace and good luck.", "And so it goes.",
)  # fmt: skip
STARTERS = (
    "I would say",
    "My answer is",
    "In my opinion",
    "As I see it",
    "Here is what I found:",
    "Once upon a time",
)
PARAGRAPH_ENDINGS = ("So be it.", "That is the point.", "Remember this.", "Onward we go!")

FOREIGN: dict[str, tuple[str, ...]] = {
    "fr": spread("bonjour maison fleur jardin soleil rivière montagne oiseau chien école livre fenêtre fromage été hiver forêt "
        "chemin bateau étoile lumière nuit matin soir toujours jamais beaucoup avec pour dans cette quand très aussi "
        "fille garçon père mère frère sœur vouloir pouvoir aimer manger boire écrire lire chanter voyage ville pays mer "
        "ciel pluie neige vent feu eau terre arbre pomme poire cerise fraise lait beurre œuf viande poisson roi reine "
        "château église rue pont gare cuisine chambre couteau cuillère assiette verre bouteille heureux triste fatigué "
        "blanc noir rouge jaune vert bleu"),
    "es": spread("casa perro gato ventana cielo estrella noche mañana siempre nunca mucho pequeño grande amigo hermano hermana "
        "madre padre niño niña escuela libro puerta calle ciudad pueblo montaña playa arena agua fuego tierra árbol "
        "manzana naranja leche queso huevo pescado cuchara cuchillo plato vaso botella feliz cansado blanco rojo verde "
        "amarillo azul correr comer beber escribir leer cantar viajar querer poder lluvia nieve viento invierno verano "
        "otoño primavera iglesia castillo reina puente cocina pájaro flor bosque camino barco luz también cuando porque "
        "pero hacia desde hasta aunque"),
    "de": spread("Haus Blume Garten Sonne Fluss Berg Vogel Schule Buch Fenster Käse Sommer Wald Weg Schiff Stern Licht Nacht "
        "Morgen Abend immer niemals viel mit für diese wenn sehr auch Mädchen Junge Vater Mutter Bruder Schwester wollen "
        "können lieben essen trinken schreiben lesen singen Reise Stadt Meer Himmel Regen Schnee Feuer Wasser Erde Baum "
        "Apfel Birne Kirsche Erdbeere Milch Ei Fleisch Fisch König Königin Schloss Kirche Straße Brücke Bahnhof Küche "
        "Zimmer Messer Löffel Teller Flasche glücklich traurig müde weiß schwarz gelb grün blau und nicht oder aber"),
    "it": spread("casa fiore giardino sole fiume montagna uccello cane scuola libro finestra formaggio estate inverno foresta "
        "strada barca stella luce notte mattina sera sempre mai molto questa quando anche ragazza ragazzo padre madre "
        "fratello sorella volere potere amare mangiare bere scrivere leggere cantare viaggio città paese mare cielo "
        "pioggia neve vento fuoco acqua terra albero mela pera ciliegia fragola latte burro uovo pesce regina castello "
        "chiesa ponte stazione cucina camera coltello cucchiaio piatto bicchiere bottiglia felice triste stanco bianco "
        "nero rosso giallo azzurro perché però dopo prima sotto sopra"),
    "ru": spread("дом цветок сад солнце река гора птица собака школа книга окно сыр лето зима лес дорога корабль звезда свет "
        "ночь утро вечер всегда никогда много девочка мальчик отец мать брат сестра хотеть любить писать читать город "
        "страна море небо дождь снег ветер огонь вода земля дерево яблоко молоко рыба король мост кухня"),
    "el": spread("σπίτι λουλούδι κήπος ήλιος ποτάμι βουνό πουλί σκύλος σχολείο βιβλίο παράθυρο τυρί καλοκαίρι χειμώνας δάσος "
        "δρόμος πλοίο αστέρι φως νύχτα πρωί βράδυ πάντα ποτέ πολύ κορίτσι αγόρι πατέρας μητέρα αδελφός πόλη θάλασσα "
        "ουρανός βροχή χιόνι φωτιά νερό γη δέντρο μήλο γάλα ψάρι γέφυρα κουζίνα"),
    "ko": spread("집 꽃 정원 태양 강 산 새 강아지 학교 책 창문 여름 겨울 숲 길 배 별 빛 밤 아침 저녁 항상 소녀 소년 아버지 어머니 도시 "
        "나라 바다 하늘 비 눈 바람 불 물 땅 나무 사과 우유 생선 왕 다리 부엌 음악 친구"),
    "hi": spread("घर फूल बगीचा सूरज नदी पहाड़ पक्षी कुत्ता किताब खिड़की गर्मी सर्दी जंगल रास्ता जहाज तारा रोशनी रात सुबह शाम हमेशा "
        "लड़की लड़का पिता माता भाई बहन शहर देश समुद्र आकाश बारिश हवा आग पानी पेड़ सेब दूध मछली राजा पुल संगीत मित्र"),
    "ar": spread("بيت زهرة حديقة شمس نهر جبل طائر كلب مدرسة كتاب نافذة صيف شتاء غابة طريق سفينة نجمة ضوء ليل صباح مساء دائما "
        "فتاة ولد والد والدة أخت مدينة بلد بحر سماء مطر ثلج ريح نار ماء أرض شجرة تفاحة حليب سمكة ملك جسر مطبخ"),
}  # fmt: skip
"""Words of other languages, as every n-th word may have to be."""

HOMOGRAPHS = frozenset(
    spread("""
    a an as at in on or so but by not me no on plus pour son main pain place long table train orange page village
    simple bus image note pause pipe point rose rouge rural grand large fin mode port palm plan plant plate album
    angle animal auto balcony band bank bay bone cave chat coin court date face fine flan four fruit gate gilet gold
    hand hat land arm warm wind winter wolf name ball butter post rest ring sand tag tee toast bald gift hell kind
    also was die war man bunt fast hotel idea piano violet violin motor taxi natural melon local pan pasta red sale
    sol sin son mil once come fame dove sera ora more pure cute ale case pale pie lime crime sentiment parent pate
    ruby rock rail radio robin silo solo tenet madam stable table cousin noble service surface usage ivory parade memory quarter
    dame data den des du el elle es est et faire fur habit her il is la le les lit lui mare mon ne nu os ou pas per
    que qui sa se si son sort su ta te tu un une von vu ya zero april idea camera zebra guitar olive able sang six
    mine legal hospital fatal total real final general plural central cut job team car stop set best person process
    information result policy president research president market body business force side issue state office head end
    level few bad turn walk pass report offer own still gave made sang sold laid held rose shot ran shut dark
    """)
)
"""English words that other languages have as well, and that tell nothing."""


COMMON = spread(
    """
    river house street people thing things life child children woman women world school state student students government
    night problem money month book eye job word business issue side head father power game end member car community name
    president team minute idea body information nothing parent others level office door health person history result
    morning reason research girl guy moment teacher force education foot boy age policy process music market sense thought
    though believe become leave put mean keep begin seem help turn show hear play run move live happen provide sit stand
    lose pay meet include continue set learn lead understand watch follow stop create speak allow add spend grow open walk
    win offer remember love consider appear buy serve send expect build stay fall cut reach kill remain suggest raise pass
    sell require report decide pull good new first last long great little own old right big high different small large
    next early young important few public bad same able better best sure free true whole clear recent certain personal
    quickly slowly never always often sometimes usually really maybe perhaps almost already still enough together away
    today tomorrow yesterday tonight everyone someone something anything everything nobody everybody somebody water fire
    earth forest mountain bird dog cat tree flower garden window kitchen chair dinner breakfast lunch bread cheese apple
    happy sad tired angry beautiful ugly strong weak rich poor cheap expensive light dark heavy warm cold walked talked
    looked asked wanted needed said went came took made gave found told felt left saw knew thought brought bought taught
    sat stood ran ate drank slept wrote read spoke heard began broke chose drove flew forgot grew held kept laid led lost
    meant met paid rode rose sang sent shook shone shot showed shut sold spent stole swam threw understood woke wore won
    walking talking looking making going coming taking giving finding telling feeling leaving seeing knowing thinking
    running eating drinking sleeping writing reading speaking hearing playing working living loving helping trying using
    should would could might must shall cannot won't didn't doesn't wasn't weren't haven't hasn't hadn't wouldn't couldn't
    shouldn't they're we've they've you've he's she's there's what's who's i'll you'll we'll they'll i'd you'd we'd
    """
)
"""More words that English texts are made of, to know an English word by."""


@functools.cache
def surely_english() -> frozenset[str]:
    """English words that are no other language's."""
    shared = {word.casefold() for words in FOREIGN.values() for word in words}
    return (
        frozenset({*SMALL, *PLAIN, *COMMON, *KEYWORDS, "was", "you", "they", "this", "that"})
        - HOMOGRAPHS
        - shared
    )
